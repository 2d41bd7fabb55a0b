// A node of a graph with the shapes of its arrays, as the checks of an exported graph read it.
// detkit/export/graph/nodes.py has the same.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "operators.hpp"

namespace detkit {

using Shape = std::vector<int64_t>;
using Entry = std::pair<size_t, size_t>;  // a node, and the number of its output

// Returns the number of values of an array, at most 2^62.
int64_t count(const Shape& shape);

// Returns a shape as Python writes it.
std::string shape_text(const Shape& shape);

// A node, in the order in which MXNet runs it. `shapes` are those of its outputs that others may
// read.
struct ShapedNode {
  std::string op, name;
  Attributes attributes;
  std::vector<Entry> inputs;
  std::vector<Shape> shapes;

  // Returns an attribute that is a whole number, or `other` for None or any other.
  int64_t whole(const std::string& key, int64_t other) const;

  // Returns an attribute that is a number, or `other` if it is none.
  double real(const std::string& key, double other) const;

  // Returns an attribute, or "".
  std::string text(const std::string& key) const;
};

using ShapedNodes = std::vector<ShapedNode>;

// Returns the shape of an array, and those of the arrays that a node reads.
const Shape& shape_of(const ShapedNodes& nodes, Entry entry);
std::vector<Shape> shapes_read(const ShapedNodes& nodes, const ShapedNode& node);

// What is wrong with a node: what was expected, and what was found.
struct Wrong {
  bool is_wrong = false;
  std::string expected, found;
};

}  // namespace detkit
