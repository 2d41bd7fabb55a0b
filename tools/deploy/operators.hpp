// The table of operators that the graph of an exported network may have: operators.inc.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace detkit {

using Attributes = std::map<std::string, std::string>;

// Tells whether an attribute is a true value of MXNet's.
bool is_true(const std::string& value);

// A number, a range or the word for where the number comes from; operators.inc explains them.
struct Operator {
  std::string inputs, outputs;

  // Returns the number of inputs that is expected, or "" if `count` is right.
  std::string expected_inputs(size_t count, const Attributes& attributes) const;

  // Returns how many outputs of a node may be read.
  long long output_count(const Attributes& attributes) const;
};

struct Operators {
  std::map<std::string, Operator> operators;
  std::map<std::string, std::pair<long long, long long>> limits;  // of attributes: least, most
  std::map<std::string, std::vector<std::string>> words;          // the values of attributes

  // Returns what is expected of an attribute, or "" if its value is right.
  std::string expected_value(const std::string& key, const std::string& value) const;
};

// Returns the table, which is read once.
const Operators& operators();

}  // namespace detkit
