#include "shapes.hpp"

#include <algorithm>
#include <cstdio>

#include "costs.hpp"
#include "detkit.hpp"
#include "kernels.hpp"
#include "mxnet_api.hpp"

namespace detkit {
namespace {

constexpr int64_t kLargest = 2147483647;  // values of an array

// Returns a value as JSON.
std::string text_of(const Json& json) {
  std::string out;
  const auto add = [&](const std::string& item) { out += (out.empty() ? "" : ", ") + item; };
  switch (json.kind) {
    case Json::Kind::array:
      for (const Json& item : json.items) add(text_of(item));
      return "[" + out + "]";
    case Json::Kind::object:
      for (const auto& [key, value] : json.members) add(quoted(key) + ": " + text_of(value));
      return "{" + out + "}";
    case Json::Kind::string:
      return quoted(json.string);
    default: {
      char number[40];
      std::snprintf(number, sizeof number, "%.0f", json.number);
      return number;
    }
  }
}

Entry entry_of(const Json& json) {
  return {size_t(json.items[0].number), size_t(json.items[1].number)};
}

std::vector<Entry> entries_of(const Json& json) {
  std::vector<Entry> out;
  for (const Json& each : json.items) out.push_back(entry_of(each));
  return out;
}

std::string variable(size_t number) { return "x" + std::to_string(number); }

// Returns the text of `count` items, each by a function of its number.
template <typename F>
std::string list_text(size_t count, F item) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += (i > 0 ? ", " : "") + item(i);
  return "[" + out + "]";
}

// Returns the graph of a node alone, whose inputs are variables x0, x1 and so on.
std::string single_graph(const ShapedNode& node, const Json& content, size_t outputs) {
  const size_t inputs = node.inputs.size();
  std::string nodes, single = "{\"op\": " + quoted(node.op) + ", \"name\": \"node\"";
  for (const char* key : {"attrs", "subgraphs"}) {
    if (const Json* value = content.find(key)) {
      single += std::string(", \"") + key + "\": " + text_of(*value);
    }
  }
  for (size_t i = 0; i < inputs; ++i) {
    nodes += "{\"op\": \"null\", \"name\": \"" + variable(i) + "\", \"inputs\": []}, ";
  }
  const auto number = [](size_t i) { return std::to_string(i); };
  const auto input = [](size_t i) { return "[" + std::to_string(i) + ", 0, 0]"; };
  const auto head = [&](size_t i) { return "[" + number(inputs) + ", " + number(i) + ", 0]"; };
  return "{\"nodes\": [" + nodes + single + ", \"inputs\": " + list_text(inputs, input) +
         "}], \"arg_nodes\": " + list_text(inputs, number) +
         ", \"node_row_ptr\": " + list_text(inputs + 2, number) +
         ", \"heads\": " + list_text(outputs, head) +
         ", \"attrs\": {\"mxnet_version\": [\"int\", 10901]}}";
}

std::string shapes_text(const std::vector<Shape>& shapes) {
  return list_text(shapes.size(), [&](size_t i) { return shape_text(shapes[i]); });
}

// What MXNet infers for a symbol; nothing if it has an error.
struct Inferred {
  std::vector<Shape> inputs, outputs;
};

Inferred inferred(void* symbol, const std::vector<Shape>& read) {
  std::vector<std::string> names;
  std::vector<const char*> keys;
  std::vector<uint32_t> begins = {0};
  std::vector<int> sides;  // which fit, because an array has no more values than kLargest
  for (size_t i = 0; i < read.size(); ++i) names.push_back(variable(i));
  for (size_t i = 0; i < read.size(); ++i) {
    keys.push_back(names[i].c_str());
    sides.insert(sides.end(), read[i].begin(), read[i].end());
    begins.push_back(uint32_t(sides.size()));
  }
  struct Shapes {
    uint32_t count = 0;
    const int* axes = nullptr;
    const int** sides = nullptr;
  } in, out, auxiliary;
  int complete = 0;
  if (mxnet().infer_shape(symbol, uint32_t(read.size()), keys.data(), begins.data(), sides.data(),
                          &in.count, &in.axes, &in.sides, &out.count, &out.axes, &out.sides,
                          &auxiliary.count, &auxiliary.axes, &auxiliary.sides, &complete) != 0) {
    return {};
  }
  Inferred result;
  const auto add = [](const Shapes& from, std::vector<Shape>* to) {
    for (size_t i = 0; i < from.count; ++i) {
      to->emplace_back(from.sides[i], from.sides[i] + std::max(from.axes[i], 0));
    }
  };
  add(in, &result.inputs);
  add(auxiliary, &result.inputs);
  add(out, &result.outputs);
  return result;
}

}  // namespace

NetworkShapes::NetworkShapes(std::string place, const std::string& symbol,
                             const std::map<std::string, Parameter>& parameters)
    : place_(std::move(place)), graph_(Json::parse(symbol)) {
  for (const auto& [key, parameter] : parameters) {
    known_[key.substr(key.find(':') + 1)] = parameter.shape;
  }
}

NetworkShapes::~NetworkShapes() {
  for (const auto& [text, symbol] : symbols_) mxnet().free_symbol(symbol);
}

void NetworkShapes::refuse(const std::string& where, const std::string& expected,
                           const std::string& found) const {
  throw Error(place_ + ": " + where + ": expected " + expected + ", found " + found +
              "; export it again (detkit export)");
}

void NetworkShapes::check(const std::map<std::string, Shape>& inputs) {
  double images = 1, values = 0;
  std::string given;
  for (const auto& [name, shape] : inputs) {
    known_[name] = shape;
    values += double(count(shape));
    images = std::max(images, double(shape.front()));
    given += (given.empty() ? "" : ", ") + name + " " + shape_text(shape);
  }
  ShapedNodes nodes;
  const auto& contents = graph_.find("nodes")->items;
  nodes.reserve(contents.size());
  for (const Json& content : contents) {
    ShapedNode node;
    node.op = content.find("op")->string;
    node.name = content.find("name")->string;
    node.inputs = entries_of(*content.find("inputs"));
    if (const Json* attributes = content.find("attrs")) {
      for (const auto& [key, value] : attributes->members) node.attributes[key] = value.string;
    }
    if (node.op == "null") {
      node.shapes.push_back(known_.at(node.name));
    } else {
      infer(nodes, &node, content);
    }
    nodes.push_back(std::move(node));
  }
  const Wrong wrong = check_costs(nodes, entries_of(*graph_.find("heads")), images, values);
  if (wrong.is_wrong) refuse("nodes, with inputs of " + given, wrong.expected, wrong.found);
}

void NetworkShapes::infer(const ShapedNodes& nodes, ShapedNode* node, const Json& content) {
  const std::string where = "nodes, " + node->op + " '" + node->name + "'";
  Wrong wrong = check_inference(nodes, *node);
  if (wrong.is_wrong) refuse(where, wrong.expected, wrong.found);
  const std::vector<Shape> read = shapes_read(nodes, *node);
  void* symbol = symbol_of(*node, content);
  const Inferred found = symbol ? inferred(symbol, read) : Inferred();
  node->shapes = found.outputs;
  if (node->shapes.empty()) {
    std::string message = mxnet().last_error();
    message = message.substr(0, message.find("\nStack trace:"));
    message = message.substr(0, message.find_last_not_of(" :\n") + 1);
    throw Error(place_ + ": this MXNet cannot run it: " + where + " with inputs of " +
                shapes_text(read) + ": " + message + "; export it again (detkit export)");
  }
  if (found.inputs != read) {
    refuse(where, "inputs of the shapes " + shapes_text(found.inputs), shapes_text(read));
  }
  int64_t largest = 0;
  for (const Shape& shape : node->shapes) {
    const bool known = std::all_of(shape.begin(), shape.end(), [](auto side) { return side > 0; });
    if (shape.empty() || !known) {
      refuse(where, "shapes that follow from those of its inputs", shapes_text(read));
    }
    largest = std::max(largest, count(shape));
  }
  if (largest > kLargest) {
    refuse(where, "at most " + std::to_string(kLargest) + " values", std::to_string(largest));
  }
  wrong = check_kernel(nodes, *node);
  if (wrong.is_wrong) refuse(where, wrong.expected, wrong.found);
}

void* NetworkShapes::symbol_of(const ShapedNode& node, const Json& content) {
  const auto outputs = operators().operators.at(node.op).output_count(node.attributes);
  const std::string text = single_graph(node, content, size_t(outputs));
  const auto found = symbols_.find(text);
  if (found != symbols_.end()) return found->second;
  void* symbol = nullptr;
  if (mxnet().create_symbol(text.c_str(), &symbol) != 0) return nullptr;
  return symbols_[text] = symbol;
}

}  // namespace detkit
