#include "kernels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace detkit {
namespace {

constexpr double kLargestCoordinate = 10001.0;  // of an RoI, in pixels
constexpr double kLeastSide = 0.01;             // of an RoI, in pixels
constexpr double kLeastScale = 1.0 / 4096;      // cells in a pixel
constexpr double kAny = std::numeric_limits<double>::infinity();
constexpr size_t kMostSides = 16;  // in the attribute of a Reshape
constexpr int kDeepest = 32;       // nodes between the RoIs and what they come from
const std::set<std::string> kKeepsRows = {"Reshape", "expand_dims", "squeeze"};
const std::set<std::string> kKeepsFirst = {"Reshape",        "expand_dims", "squeeze",
                                           "broadcast_like", "BlockGrad",   "_copy"};
const std::set<std::string> kKeepsValues = {
    "Reshape", "expand_dims",  "squeeze",    "broadcast_like", "BlockGrad",
    "_copy",   "SliceChannel", "slice_axis", "slice",          "transpose"};
const std::set<std::string> kLarger = {"_maximum", "_minimum", "broadcast_maximum",
                                       "broadcast_minimum"};

const std::set<std::string> kGrows = {"tile", "repeat", "UpSampling", "Deconvolution", "Concat"};

// Attributes that are axes, and the number of the input that has them.
const std::vector<std::pair<std::string, size_t>> kAxes = {
    {"axes", 0}, {"axis", 0}, {"lhs_axes", 0}, {"rhs_axes", 1}};

Wrong wrong(const std::string& expected, const std::string& found) {
  return {true, expected, found};
}

// Returns the whole numbers in a text.
std::vector<int64_t> wholes(const std::string& text) {
  std::vector<int64_t> out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = text.find_first_of("0123456789", at);
    if (begin == std::string::npos) break;
    const size_t end = std::min(text.find_first_not_of("0123456789", begin), text.size());
    const bool is_negative = begin > 0 && text[begin - 1] == '-';
    const int64_t number = std::atoll(text.substr(begin, end - begin).c_str());
    out.push_back(is_negative ? -number : number);
    at = end;
  }
  return out;
}

// Tells whether the product of two sides is `side`, one of which may be -1, for any.
bool splits(int64_t side, const Shape& split) {
  Shape given;
  std::copy_if(split.begin(), split.end(), std::back_inserter(given),
               [](int64_t other) { return other != -1; });
  if (split.size() < 2 || given.empty() || *std::min_element(given.begin(), given.end()) < 1) {
    return false;
  }
  return given.size() == 2 ? count(given) == side : side % count(given) == 0;
}

// Tells whether the sides of a Reshape, in MXNet's notation, fit the shape of its input.
bool reshapes(const Shape& shape, const Shape& sides) {
  size_t at = 0, free = 0;
  Shape factors;
  for (size_t i = 0; i < sides.size(); ++i) {
    const int64_t side = sides[i];
    const size_t left = shape.size() - std::min(shape.size(), at);
    const size_t taken = side == -2 ? left : side == -3 ? 2 : 1;
    if ((side == 0 || side == -3 || side == -4) && left < taken) return false;
    if (side == -1) {
      ++free;
    } else if (side > 0) {
      factors.push_back(side);
    } else {
      for (size_t j = 0; j < std::min(taken, left); ++j) factors.push_back(shape[at + j]);
    }
    if (side == -4) {
      const size_t end = std::min(sides.size(), i + 3);
      if (!splits(shape[at], Shape(sides.begin() + i + 1, sides.begin() + end))) return false;
      i += 2;
    }
    at += taken;
  }
  const int64_t size = count(shape), product = count(factors);
  return free == 1 ? size % product == 0 : free == 0 && product == size;
}

// Checks that lists of axes have none twice, with which transpose reads past the end.
Wrong check_axes(const ShapedNodes& nodes, const ShapedNode& node) {
  for (const auto& [key, number] : kAxes) {
    const Shape axes = wholes(node.text(key));
    if (axes.size() < 2) continue;
    const size_t input = std::min(number, node.inputs.size() - 1);
    const int64_t sides = int64_t(shape_of(nodes, node.inputs[input]).size());
    std::set<int64_t> different;
    for (const int64_t axis : axes) different.insert(axis < 0 ? axis + sides : axis);
    if (different.size() < axes.size()) {
      return wrong("each axis of " + key + " once", "'" + node.text(key) + "'");
    }
  }
  return {};
}

Wrong check_reshape(const ShapedNodes& nodes, const ShapedNode& node) {
  Shape shape = shape_of(nodes, node.inputs[0]), sides = wholes(node.text("shape"));
  const std::string expected = "sides for the values of the input's " + shape_text(shape);
  const std::string reverse = node.text("reverse");
  const bool backwards =
      !reverse.empty() && reverse != "False" && reverse != "false" && reverse != "0";
  const bool splits_one = std::find(sides.begin(), sides.end(), -4) != sides.end();
  bool right = !sides.empty() && sides.size() <= kMostSides && !(backwards && splits_one);
  if (backwards) {
    std::reverse(shape.begin(), shape.end());
    std::reverse(sides.begin(), sides.end());
  }
  right = right && reshapes(shape, sides);
  return right ? Wrong() : wrong(expected, "'" + node.text("shape") + "'");
}

// Checks that no side of the output is more than MXNet tells, which is 32 bits of it.
Wrong check_growth(const ShapedNodes& nodes, const ShapedNode& node) {
  constexpr int64_t kLargest = 2147483647;
  int64_t values = 0, factor = 1;
  for (const Entry& entry : node.inputs) {
    values = std::min(kLargest, values + count(shape_of(nodes, entry)));
  }
  for (const char* key : {"reps", "repeats", "scale", "stride"}) {
    for (const int64_t number : wholes(node.text(key))) factor = std::max(factor, number);
  }
  if (values * factor <= kLargest && values < kLargest) return {};
  return wrong("at most " + std::to_string(kLargest) + " values",
               std::to_string(factor) + " times the inputs'");
}

Wrong check_group_norm(const ShapedNodes& nodes, const ShapedNode& node) {
  const Shape& shape = shape_of(nodes, node.inputs[0]);
  const int64_t groups = node.whole("num_groups", 1);
  if (shape.size() > 2 && groups >= 1 && shape[1] % groups == 0) return {};
  return wrong("an array (B, C, ...) with C a multiple of " + std::to_string(groups),
               shape_text(shape));
}

Wrong check_box_nms(const ShapedNodes& nodes, const ShapedNode& node) {
  const Shape& shape = shape_of(nodes, node.inputs[0]);
  const int64_t columns =
      std::max({node.whole("coord_start", 2) + 4, node.whole("score_index", 1) + 1,
                node.whole("id_index", -1) + 1});
  if (shape.size() >= 2 && columns <= shape.back()) return {};
  return wrong("rows of at least " + std::to_string(columns) + " columns", shape_text(shape));
}

Wrong check_count(const ShapedNodes& nodes, const ShapedNode& node) {
  const Shape& before = shape_of(nodes, node.inputs[0]);
  if (count(before) == count(node.shapes[0])) return {};
  return wrong("as many values as in the input's " + shape_text(before),
               shape_text(node.shapes[0]));
}

Wrong check_where(const ShapedNodes& nodes, const ShapedNode& node) {
  const std::vector<Shape> read = shapes_read(nodes, node);
  const Shape& shape = node.shapes[0];
  const bool fits = read[0] == shape || read[0] == Shape{shape[0]};
  if (fits && read[1] == shape && read[2] == shape) return {};
  std::string found;
  for (const Shape& each : read) found += (found.empty() ? "" : ", ") + shape_text(each);
  return wrong("a condition and two branches of " + shape_text(shape), found);
}

// Tells whether an array has whole numbers from 0 to `images` - 1 and one column.
bool numbers_images(const ShapedNodes& nodes, Entry entry, int64_t images) {
  if (shape_of(nodes, entry).back() != 1) return false;
  const ShapedNode* node = &nodes[entry.first];
  for (int i = 0; i < kDeepest && kKeepsFirst.count(node->op) > 0; ++i) {
    node = &nodes[node->inputs[0].first];
  }
  return node->op == "_contrib_arange_like" && node->attributes.size() == 1 &&
         node->attributes.count("axis") > 0 && count(node->shapes[0]) <= images;
}

// Tells whether an array is where(x - x == 0, x, 0 * ones_like).
bool is_finite(const ShapedNodes& nodes, Entry entry) {
  const ShapedNode& chosen = nodes[entry.first];
  if (chosen.op != "where") return false;
  const ShapedNode& is_zero = nodes[chosen.inputs[0].first];
  const ShapedNode& zeros = nodes[chosen.inputs[2].first];
  const Entry kept = chosen.inputs[1];
  if (is_zero.op != "_equal_scalar" || is_zero.real("scalar", 1) != 0) return false;
  const ShapedNode& difference = nodes[is_zero.inputs[0].first];
  if (difference.op != "elemwise_sub" || difference.inputs != std::vector<Entry>{kept, kept}) {
    return false;
  }
  return zeros.op == "zeros_like" || (zeros.op == "_mul_scalar" && zeros.real("scalar", 1) == 0 &&
                                      nodes[zeros.inputs[0].first].op == "ones_like");
}

// Returns a bound of the sizes of the values, infinite if there may be any or NaN.
double largest(const ShapedNodes& nodes, Entry entry, int deep) {
  const ShapedNode& node = nodes[entry.first];
  if (deep >= kDeepest || node.inputs.empty()) return kAny;
  if (kKeepsValues.count(node.op) > 0) return largest(nodes, node.inputs[0], deep + 1);
  if (kLarger.count(node.op) > 0) {
    const int deeper = deep + kDeepest / 8;
    return std::max(largest(nodes, node.inputs[0], deeper), largest(nodes, node.inputs[1], deeper));
  }
  if (node.op == "_plus_scalar") {
    return largest(nodes, node.inputs[0], deep + 1) + std::fabs(node.real("scalar", kAny));
  }
  if (node.op == "clip" && is_finite(nodes, node.inputs[0])) {
    return std::max(std::fabs(node.real("a_min", kAny)), std::fabs(node.real("a_max", kAny)));
  }
  return kAny;
}

// Tells whether a coordinate is at least kLeastSide behind another one.
bool is_behind(const ShapedNodes& nodes, Entry end, Entry begin) {
  const ShapedNode& node = nodes[end.first];
  for (const Entry& entry : node.inputs) {
    const ShapedNode& added = nodes[entry.first];
    const bool right = added.op == "_plus_scalar" && added.real("scalar", 0) >= kLeastSide;
    if (right && added.inputs == std::vector<Entry>{begin}) {
      return node.op == "_maximum" || node.op == "broadcast_maximum";
    }
  }
  return false;
}

Wrong check_rois(const ShapedNodes& nodes, const ShapedNode& node) {
  const std::string expected =
      "RoIs of numbered images, with clipped coordinates, as detkit.ops makes them";
  const ShapedNode* rows = &nodes[node.inputs[1].first];
  while (kKeepsRows.count(rows->op) > 0 && shape_of(nodes, rows->inputs[0]).back() == 5) {
    rows = &nodes[rows->inputs[0].first];
  }
  const std::vector<Shape> parts = shapes_read(nodes, *rows);
  const auto before = [](const Shape& shape) { return Shape(shape.begin(), shape.end() - 1); };
  const bool joined = rows->op == "Concat" && rows->shapes[0].back() == 5 && parts.size() == 5 &&
                      shape_of(nodes, node.inputs[1]).back() == 5 &&
                      std::all_of(parts.begin(), parts.end(), [&](const Shape& part) {
                        return before(part) == before(parts[0]);
                      });
  if (!joined) return wrong(expected, "'" + rows->name + "'");
  if (!numbers_images(nodes, rows->inputs[0], shape_of(nodes, node.inputs[0])[0])) {
    return wrong(expected, "'" + rows->name + "', whose first column may be another number");
  }
  for (size_t i = 1; i < rows->inputs.size(); ++i) {
    if (largest(nodes, rows->inputs[i], 0) > kLargestCoordinate) {
      return wrong(expected, "'" + rows->name + "', whose coordinates may be of any size");
    }
  }
  if (!is_behind(nodes, rows->inputs[3], rows->inputs[1]) ||
      !is_behind(nodes, rows->inputs[4], rows->inputs[2])) {
    return wrong(expected, "'" + rows->name + "', whose RoIs may have no side");
  }
  const double scale = node.real("spatial_scale", 0);
  if (scale >= kLeastScale && scale <= 1) return {};
  return wrong(std::to_string(kLeastScale) + " <= spatial_scale <= 1", std::to_string(scale));
}

}  // namespace

Wrong check_inference(const ShapedNodes& nodes, const ShapedNode& node) {
  const Wrong axes = check_axes(nodes, node);
  if (axes.is_wrong) return axes;
  if (node.op == "Reshape") return check_reshape(nodes, node);
  if (kGrows.count(node.op) > 0) return check_growth(nodes, node);
  if (node.op == "GroupNorm") return check_group_norm(nodes, node);
  if (node.op == "_contrib_box_nms") return check_box_nms(nodes, node);
  return {};
}

Wrong check_kernel(const ShapedNodes& nodes, const ShapedNode& node) {
  if (node.op == "Reshape" || node.op == "reshape_like") return check_count(nodes, node);
  if (node.op == "where") return check_where(nodes, node);
  const bool pools = node.op == "_contrib_ROIAlign" || node.op == "ROIPooling";
  return pools ? check_rois(nodes, node) : Wrong();
}

}  // namespace detkit
