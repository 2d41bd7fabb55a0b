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
  std::string string;  // UTF-8
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;  // in the order of the file

  // The member of an object, or nullptr.
  const Json* find(const std::string& key) const;

  // Throws Error that names the line: for anything but one value, for a key given twice, for bytes
  // that are no UTF-8, and for values nested deeper than 64.
  static Json parse(const std::string& text);
};

// What an error message calls it.
const char* name_of(Json::Kind kind);

// The string as JSON writes it, with its quotation marks.
std::string quoted(const std::string& text);

}  // namespace detkit
