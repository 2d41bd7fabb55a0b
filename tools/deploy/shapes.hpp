// The shapes of all arrays of a network, checked before MXNet runs it.
// detkit/export/graph/shapes.py explains the checks, and does the same.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "json.hpp"
#include "nodes.hpp"
#include "parameters.hpp"

namespace detkit {

// MXNet infers the shapes of one node after the other. The caller lets no other thread use MXNet's
// graphs meanwhile, and has loaded the library of operators.
class NetworkShapes {
 public:
  // `place` is the path of the symbol file, `symbol` its content, which check_network accepted with
  // these parameters.
  NetworkShapes(std::string place, const std::string& symbol,
                const std::map<std::string, Parameter>& parameters);
  ~NetworkShapes();
  NetworkShapes(const NetworkShapes&) = delete;
  NetworkShapes& operator=(const NetworkShapes&) = delete;

  // Throws Error unless MXNet can run the network with inputs of these shapes.
  void check(const std::map<std::string, Shape>& inputs);

 private:
  void infer(const ShapedNodes& nodes, ShapedNode* node, const Json& content);
  void* symbol_of(const ShapedNode& node, const Json& content);
  [[noreturn]] void refuse(const std::string& where, const std::string& expected,
                           const std::string& found) const;

  const std::string place_;
  const Json graph_;
  std::map<std::string, Shape> known_;    // the parameters
  std::map<std::string, void*> symbols_;  // graphs of single nodes, by their text
};

}  // namespace detkit
