#include "nodes.hpp"

#include <cstdlib>

namespace detkit {
namespace {

constexpr int64_t kMostValues = int64_t(1) << 62;
constexpr size_t kMostDigits = 18;

}  // namespace

int64_t count(const Shape& shape) {
  int64_t out = 1;
  for (const int64_t side : shape) {
    if (side > 0 && out > kMostValues / side) return kMostValues;
    out *= side;
  }
  return out;
}

std::string shape_text(const Shape& shape) {
  std::string out = "(";
  for (const int64_t side : shape) {
    out += (out.size() > 1 ? ", " : "") + std::to_string(side);
  }
  return out + (shape.size() == 1 ? ",)" : ")");
}

std::string ShapedNode::text(const std::string& key) const {
  const auto found = attributes.find(key);
  return found == attributes.end() ? "" : found->second;
}

int64_t ShapedNode::whole(const std::string& key, int64_t other) const {
  const std::string value = text(key);
  const size_t begin = !value.empty() && value[0] == '-' ? 1 : 0;
  const bool right = value.size() > begin && value.size() <= kMostDigits &&
                     value.find_first_not_of("0123456789", begin) == std::string::npos;
  return right ? std::atoll(value.c_str()) : other;
}

double ShapedNode::real(const std::string& key, double other) const {
  const std::string value = text(key);
  if (value.empty() || value.find_first_not_of("0123456789+-.eE") != std::string::npos) {
    return other;
  }
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  return *end == '\0' ? number : other;
}

const Shape& shape_of(const ShapedNodes& nodes, Entry entry) {
  return nodes[entry.first].shapes[entry.second];
}

std::vector<Shape> shapes_read(const ShapedNodes& nodes, const ShapedNode& node) {
  std::vector<Shape> out;
  for (const Entry& entry : node.inputs) out.push_back(shape_of(nodes, entry));
  return out;
}

}  // namespace detkit
