// The variables of a graph, compared with the model's inputs and the parameter file.
// detkit/export/graph/variables.py has the rules, and checks the same.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "operators.hpp"
#include "parameters.hpp"

namespace detkit {

struct Variable {
  Attributes attributes;
  bool is_auxiliary = false;
};

// Throws Error unless the variables of a graph are the inputs of the model and the parameters, all
// of them, each of its shape and type.
void check_variables(const std::map<std::string, Variable>& variables,
                     const std::vector<std::string>& inputs,
                     const std::map<std::string, Parameter>& parameters);

}  // namespace detkit
