#include "costs.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

namespace detkit {
namespace {

// Whole numbers in double, which are exact as far as the bounds go.
constexpr double kMostValues = 1ll << 26, kValuesPerInput = 1 << 12;
constexpr double kMostSteps = 1ll << 33, kStepsPerInput = 1 << 14;
constexpr double kSmallInputs = 3 * 256 * 256;  // values of an image
constexpr double kProducts = 256;               // that count as one step
constexpr double kPooled = 4;    // values that a pooling convolution computes for each it writes
constexpr double kSample = 8;    // steps of MXNet's RoIAlign for a sample
constexpr double kSorting = 32;  // steps for each value that is sorted
constexpr double kCopies = 4;    // of its input in the workspace of an operator that sorts
constexpr char kVariable[] = "null";
const std::set<std::string> kSorters = {"sort", "argsort", "topk", "_contrib_box_nms"};
const std::set<std::string> kLayers = {
    "Convolution",    "Deconvolution",    "FullyConnected",  "detkit_conv1x1",
    "detkit_conv3x3", "detkit_depthwise", "_sg_mkldnn_conv", "_sg_mkldnn_fully_connected"};

double total(const std::vector<Shape>& shapes) {
  double out = 0;
  for (const Shape& shape : shapes) out += double(count(shape));
  return out;
}

// Returns the number of values of an array without its first axes.
double without(const Shape& shape, size_t first) {
  return double(count(Shape(shape.begin() + std::min(first, shape.size()), shape.end())));
}

// Returns the product of the numbers in a text.
double product(const std::string& text) {
  double out = 1;
  for (size_t at = 0; at < text.size(); ++at) {
    double number = 0;
    const size_t begin = at;
    for (; at < text.size() && std::isdigit(uint8_t(text[at])); ++at) {
      number = 10 * number + (text[at] - '0');
    }
    if (at > begin) out *= number;
  }
  return out;
}

double values_at_once(const ShapedNodes& nodes, const std::vector<Entry>& outputs) {
  std::map<Entry, size_t> last;
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const Entry& entry : nodes[i].inputs) last[entry] = i;
  }
  const std::set<Entry> kept(outputs.begin(), outputs.end());
  std::vector<double> ends(nodes.size());
  for (const auto& [entry, node] : last) {
    if (kept.count(entry) == 0 && nodes[entry.first].op != kVariable) {
      ends[node] += double(count(shape_of(nodes, entry)));
    }
  }
  double held = 0, most = 0, copied = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].op == kVariable) continue;
    held += total(nodes[i].shapes);
    const bool sorts = kSorters.count(nodes[i].op) > 0;
    most = std::max(most, held + (sorts ? kCopies * total(shapes_read(nodes, nodes[i])) : 0));
    held -= ends[i];
  }
  for (const Entry& entry : outputs) copied += double(count(shape_of(nodes, entry)));
  return std::max(most, held + copied);
}

// Returns the smaller number; a limit below 1 is none.
int64_t at_most(int64_t rows, int64_t limit) { return limit > 0 ? std::min(rows, limit) : rows; }

// Returns the pairs of boxes that an NMS of so many rows compares. MXNet's compares the best `topk`
// rows with all. detkit's compares the best `top_k_in` with those it keeps, at most `top_k_out`.
double compared_by_nms(const ShapedNode& node, int64_t rows) {
  if (node.op == "detkit_nms") {
    const int64_t entering = at_most(rows, node.whole("top_k_in", -1));
    return double(entering) * double(at_most(entering, node.whole("top_k_out", -1)));
  }
  return double(rows) * double(at_most(rows, node.whole("topk", -1)));
}

// Returns the work of a node beside that of reading and writing each value once.
double more_steps(const ShapedNode& node, const std::vector<Shape>& read, double written) {
  if (kLayers.count(node.op) > 0) {
    const double computed = node.text("pools") == "True" ? kPooled * written : written;
    const double largest = node.op == "Deconvolution" ? double(count(read[0])) : computed;
    return std::floor(largest * without(read[1], 1) / kProducts);
  }
  if (node.op == "batch_dot" || node.op == "dot") {
    return std::floor(written * double(*std::max_element(read[0].begin(), read[0].end())) /
                      kProducts);
  }
  if (node.op == "Pooling" || node.op == "_contrib_quantized_pooling" || node.op == "LRN") {
    return written * std::max(product(node.text("kernel")), double(node.whole("nsize", 1)));
  }
  if (node.op == "_contrib_ROIAlign" || node.op == "detkit_roi_align") {
    const bool is_mxnets = node.op == "_contrib_ROIAlign";
    const char* key = is_mxnets ? "sample_ratio" : "sampling";
    const double samples = double(std::max<int64_t>(node.whole(key, 1), 1));
    return written * samples * samples * (is_mxnets ? kSample : 1);
  }
  const double sorting = kSorting * double(count(read[0]));
  if (node.op == "_contrib_box_nms" || node.op == "detkit_nms") {
    const size_t axes = read[0].size();
    const int64_t rows = axes > 1 ? read[0][axes - 2] : read[0][0];
    const Shape batch(read[0].begin(), read[0].end() - std::min<size_t>(axes, 2));
    return double(count(batch)) * compared_by_nms(node, rows) + sorting;
  }
  return kSorters.count(node.op) > 0 ? sorting : 0;
}

std::string whole_text(double number) {
  char text[40];
  std::snprintf(text, sizeof text, number < 1e30 ? "%.0f" : "%g", number);
  return text;
}

}  // namespace

Wrong check_costs(const ShapedNodes& nodes, const std::vector<Entry>& outputs, double images,
                  double values) {
  values = std::max(values, images * kSmallInputs);
  double steps = 0;
  for (const ShapedNode& node : nodes) {
    if (node.op == kVariable) {
      steps += total(node.shapes);
      continue;
    }
    const std::vector<Shape> read = shapes_read(nodes, node);
    const double written = total(node.shapes);
    steps += total(read) + written + more_steps(node, read, written);
  }
  const auto check = [](const char* what, double found, double most) -> Wrong {
    if (found <= most) return {};
    return {true, "at most " + whole_text(most) + " " + what + " for these inputs",
            whole_text(found)};
  };
  const Wrong memory = check("values at once", values_at_once(nodes, outputs),
                             images * kMostValues + values * kValuesPerInput);
  return memory.is_wrong ? memory
                         : check("steps", steps, images * kMostSteps + values * kStepsPerInput);
}

}  // namespace detkit
