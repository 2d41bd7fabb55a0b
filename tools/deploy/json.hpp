// A strict reader of JSON (RFC 8259), for small files such as model.json.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace detkit {

struct Json {
  enum class Kind { null, boolean, number, string, array, object };

  Kind kind = Kind::null;
  bool boolean = false;
  double number = 0;
  bool is_whole = false;  // a number without a point or an exponent
  std::string string;     // UTF-8
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;  // in the order of the file

  // Returns a member of an object, or nullptr.
  const Json* find(const std::string& key) const;

  // Reads a text of one value. Throws Error with the line for anything else, for a key given twice,
  // for bytes that are not UTF-8, for values nested deeper than 64 and for more than 500,000
  // values.
  static Json parse(const std::string& text);
};

// Returns the name of a kind in error messages.
const char* name_of(Json::Kind kind);

// Returns the string as JSON writes it, with its quotation marks. A byte that is not part of a
// UTF-8 character becomes U+FFFD, the replacement character, because JSON is UTF-8.
std::string quoted(const std::string& text);

}  // namespace detkit
