// The graph of an exported network, checked before MXNet reads it, which takes its indices on
// trust. detkit/export/graph/checked.py has the rules, and checks the same.
#pragma once

#include <map>
#include <string>

#include "model.hpp"
#include "variables.hpp"

namespace detkit {

// Returns the variables of a graph by name. `text` is the content of a symbol file, `outputs` the
// number of the model's outputs; `has_library` tells whether detkit's operators are in the folder.
// Throws Error with the place in the file.
std::map<std::string, Variable> check_graph(const std::string& text, size_t outputs,
                                            bool has_library);

// Checks the graph and its variables, and returns the parameters. `symbol` and `parameters` are the
// content of the two files of the model's folder. Throws Error with the path of the wrong one.
std::map<std::string, Parameter> check_network(const Model& model, const std::string& symbol,
                                               const std::string& parameters);

}  // namespace detkit
