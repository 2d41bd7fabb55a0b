#include "graph.hpp"

#include <algorithm>
#include <set>

#include "detkit.hpp"
#include "json.hpp"
#include "json_checks.hpp"

namespace detkit {
namespace {

constexpr size_t kMostBytes = 8 << 20, kMostNodes = 20000, kMostInputs = 4096, kMostHeads = 64;
constexpr size_t kMostAttributes = 64, kLongestValue = 4096;  // bytes
constexpr double kMostVersion = 65535, kMostStep = 4096;
const std::set<std::string> kFused = {"_sg_mkldnn_conv", "_sg_mkldnn_fully_connected"};
const std::set<std::string> kWithinFused = {"Convolution", "FullyConnected"};
const std::set<std::string> kAroundFused = {"Activation", "LeakyReLU", "clip", "elemwise_add",
                                            "relu",       "sigmoid",   "tanh"};

using Place = std::pair<size_t, long long>;  // a node, and one of its outputs

const Keys kGraphKeys = {"nodes", "arg_nodes", "node_row_ptr", "heads"};

struct Node {
  std::string op, name;
  Attributes attributes;
  std::vector<size_t> inputs;  // the nodes that it reads
  long long outputs;
};

// Reads one graph, which may be within a fused layer.
class Graph {
 public:
  Graph(const Json& json, std::string within, bool is_fused, bool has_library)
      : json_(json),
        within_(std::move(within)),
        is_fused_(is_fused),
        has_library_(has_library),
        heads_(json.find("heads")) {
    const std::string nodes = within_ + "nodes";
    for (const Json& node : list(nodes, *json.find("nodes"), 1, kMostNodes)) {
      read(nodes + "[" + std::to_string(nodes_.size()) + "]", node);
    }
    read_heads();
    check_read();
    check_variables();
    check_rows();
  }

  const std::vector<Node>& nodes() const { return nodes_; }
  size_t heads() const { return heads_->items.size(); }

 private:
  void read(const std::string& where, const Json& json) {
    check_keys(where, json, {"op", "name", "inputs"}, {"attrs", "subgraphs"});
    Node node;
    node.op = name_at(where + ".op", *json.find("op"));
    node.name = name_at(where + ".name", *json.find("name"));
    if (const Json* attributes = json.find("attrs")) {
      node.attributes = read_attributes(where + ".attrs", *attributes);
    }
    const size_t variables = check_subgraph(where + ".subgraphs", node, json.find("subgraphs"));
    const auto& inputs = list(where + ".inputs", *json.find("inputs"), 0, kMostInputs);
    for (size_t i = 0; i < inputs.size(); ++i) {
      node.inputs.push_back(entry(where + ".inputs[" + std::to_string(i) + "]", inputs[i]));
    }
    check_operator(where, &node, variables);
    nodes_.push_back(std::move(node));
  }

  static Attributes read_attributes(const std::string& where, const Json& json) {
    if (json.kind != Json::Kind::object || json.members.size() > kMostAttributes) {
      fail(where, "an object of up to " + std::to_string(kMostAttributes), shown(json));
    }
    Attributes out;
    for (const auto& [key, value] : json.members) {
      Json text;
      text.kind = Json::Kind::string;
      text.string = key;
      if (value.kind != Json::Kind::string || value.string.size() > kLongestValue ||
          !is_name(text)) {
        fail(where, "texts of up to " + std::to_string(kLongestValue) + " bytes",
             shown(text) + ": " + shown(value));
      }
      out[key] = value.string;
    }
    return out;
  }

  // Returns the number of variables of a fused layer's graph.
  size_t check_subgraph(const std::string& where, const Node& node, const Json* subgraphs) const {
    if (is_fused_ || kFused.count(node.op) == 0) {
      if (subgraphs) fail(where, "none", name_of(subgraphs->kind));
      return 0;
    }
    if (!subgraphs) fail(where, "one", "none");
    const Json& json = list(where, *subgraphs, 1, 1)[0];
    check_keys(where + "[0]", json, kGraphKeys, {});
    const Graph graph(json, where + "[0].", true, has_library_);
    const auto count = [&](const auto& matches) {
      return size_t(std::count_if(graph.nodes().begin(), graph.nodes().end(), matches));
    };
    const size_t layers = count([](const Node& one) { return kWithinFused.count(one.op) > 0; });
    if (layers != 1) {
      fail(where + "[0].nodes", "one Convolution or FullyConnected", std::to_string(layers));
    }
    if (graph.heads() != 1) fail(where + "[0].heads", "one", std::to_string(graph.heads()));
    return count([](const Node& one) { return one.op == "null"; });
  }

  // Checks what an input or a head refers to. Returns its node.
  size_t entry(const std::string& where, const Json& json) {
    if (json.kind != Json::Kind::array || json.items.size() != 3 ||
        !is_whole(json.items[2], 0, kMostVersion)) {
      fail(where, "[node, output, version]", shown(json));
    }
    const double last = double(nodes_.size()) - 1;
    if (!is_whole(json.items[0], 0, last)) {
      fail(where, "a node from 0 to " + std::to_string(int(last)), shown(json.items[0]));
    }
    const size_t node = size_t(json.items[0].number);
    if (!is_whole(json.items[1], 0, double(nodes_[node].outputs) - 1)) {
      fail(where,
           "an output from 0 to " + std::to_string(nodes_[node].outputs - 1) + " of nodes[" +
               std::to_string(node) + "]",
           shown(json.items[1]));
    }
    is_read_.insert(node);
    return node;
  }

  void check_operator(const std::string& where, Node* node, size_t variables) const {
    node->outputs = 1;
    if (node->op == "null") {
      for (const auto& [key, value] : node->attributes) {
        if (key != "__shape__" && key != "__dtype__") {
          fail(where + ".attrs", "__shape__ and __dtype__ of a variable", "'" + key + "'");
        }
      }
      if (!node->inputs.empty()) {
        fail(where + ".inputs", "none, because it is a variable",
             std::to_string(node->inputs.size()));
      }
      return;
    }
    const auto& known = operators().operators;
    const auto found = known.find(node->op);
    const bool fits = !is_fused_ || kWithinFused.count(node->op) || kAroundFused.count(node->op);
    if (found == known.end() || !fits) {
      fail(where + ".op", "one of operators.inc's operators", "'" + node->op + "'");
    }
    if (node->op.compare(0, 7, "detkit_") == 0 && !has_library_) {
      fail(where + ".op", "an operator of MXNet, because model.json has no library",
           "'" + node->op + "'");
    }
    check_numbers(where, found->second, node, variables);
  }

  static void check_numbers(const std::string& where, const Operator& known, Node* node,
                            size_t variables) {
    for (const auto& [key, value] : node->attributes) {
      std::string expected = operators().expected_value(key, value);
      if (key.compare(0, 2, "__") == 0) expected = "no such key at an operator";
      if (!expected.empty()) {
        fail(where + ".attrs." + key, expected, "'" + value.substr(0, 100) + "'");
      }
    }
    const size_t count = node->inputs.size();
    const std::string expected = known.expected_inputs(count, node->attributes);
    if (!expected.empty()) fail(where + ".inputs", expected + " of them", std::to_string(count));
    if (variables > 0) {
      const auto quantized = node->attributes.find("quantized");
      const bool has_ranges = quantized != node->attributes.end() && is_true(quantized->second);
      const size_t ranges = count - variables;
      if (has_ranges ? ranges != 2 && ranges != 4 : ranges != 0) {
        fail(where + ".inputs",
             "the " + std::to_string(variables) + " variables of its subgraph" +
                 (has_ranges ? ", and 2 or 4 ranges" : ""),
             std::to_string(count));
      }
    }
    node->outputs = known.output_count(node->attributes);
  }

  void read_heads() {
    const std::string where = within_ + "heads";
    const auto& heads = list(where, *heads_, 1, kMostHeads);
    for (size_t i = 0; i < heads.size(); ++i)
      entry(where + "[" + std::to_string(i) + "]", heads[i]);
  }

  void check_read() const {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (is_read_.count(i) == 0) {
        fail(within_ + "nodes[" + std::to_string(i) + "]", "a node that is read",
             "'" + nodes_[i].name + "'");
      }
    }
  }

  void check_variables() const {
    const Json& found = *json_.find("arg_nodes");
    std::vector<size_t> expected;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].op == "null") expected.push_back(i);
    }
    const bool same = found.kind == Json::Kind::array &&
                      std::equal(found.items.begin(), found.items.end(), expected.begin(),
                                 expected.end(), [](const Json& one, size_t other) {
                                   return is_whole(one, double(other), double(other));
                                 });
    if (!same) fail(within_ + "arg_nodes", "the variables", "another list");
  }

  // Checks the number of the first output of each node, which MXNet counts up.
  void check_rows() const {
    const std::string where = within_ + "node_row_ptr";
    const size_t count = nodes_.size() + 1;
    const auto& rows = list(where, *json_.find("node_row_ptr"), count, count);
    double before = -1;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!is_whole(rows[i], before + 1, i == 0 ? 0 : before + kMostStep)) {
        fail(where + "[" + std::to_string(i) + "]",
             "a number above " + std::to_string((long long)(before)), shown(rows[i]));
      }
      before = rows[i].number;
    }
  }

  const Json& json_;
  const std::string within_;
  const bool is_fused_, has_library_;
  const Json* heads_;
  std::vector<Node> nodes_;
  std::set<size_t> is_read_;
};

void check_version(const Json& about) {
  const Json* version = about.find("mxnet_version");
  const bool right = version && version->kind == Json::Kind::array && version->items.size() == 2 &&
                     version->items[0].string == "int" && is_whole(version->items[1], 10000, 29999);
  if (!right) fail("attrs.mxnet_version", "['int', 10901] or another version", "another value");
}

}  // namespace

std::map<std::string, Variable> check_graph(const std::string& text, size_t outputs,
                                            bool has_library) {
  if (text.size() > kMostBytes) {
    fail("the graph", "at most " + std::to_string(kMostBytes) + " bytes",
         std::to_string(text.size()));
  }
  const Json json = Json::parse(text);
  Keys keys = kGraphKeys;
  keys.push_back("attrs");
  check_keys("the graph", json, keys, {});
  check_version(*json.find("attrs"));
  const Graph graph(json, "", false, has_library);
  if (graph.heads() != outputs) {
    fail("heads", std::to_string(outputs) + ", one for each output of model.json",
         std::to_string(graph.heads()));
  }
  std::set<size_t> moving, others;
  for (const Node& node : graph.nodes()) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      (node.op == "BatchNorm" && (i == 3 || i == 4) ? moving : others).insert(node.inputs[i]);
    }
  }
  std::map<std::string, Variable> variables;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (node.op != "null") continue;
    const std::string where = "nodes[" + std::to_string(i) + "]";
    const bool is_auxiliary = moving.count(i) > 0;
    if (is_auxiliary && others.count(i) > 0) {
      fail(where, "a moving mean or variance that BatchNorm alone reads", "'" + node.name + "'");
    }
    if (!variables.emplace(node.name, Variable{node.attributes, is_auxiliary}).second) {
      fail(where + ".name", "each variable once", "'" + node.name + "'");
    }
  }
  return variables;
}

std::map<std::string, Parameter> check_network(const Model& model, const std::string& symbol,
                                               const std::string& parameters) {
  std::string path = model.path(kParameterFile);
  try {
    const auto arrays = read_parameters(parameters);
    path = model.path(kSymbolFile);
    check_variables(check_graph(symbol, model.outputs.names.size(), !model.library.empty()),
                    model.inputs, arrays);
    return arrays;
  } catch (const Error& error) {
    throw Error(path + ": " + error.what());
  }
}

}  // namespace detkit
