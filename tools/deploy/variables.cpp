#include "variables.hpp"

#include <algorithm>

#include "json_checks.hpp"
#include "nodes.hpp"

namespace detkit {
namespace {

std::string text_of(const Attributes& attributes) {
  std::string out;
  for (const auto& [key, value] : attributes) {
    out += (out.empty() ? "" : ", ") + key + " '" + value.substr(0, 100) + "'";
  }
  return out.empty() ? "no attributes" : out;
}

}  // namespace

void check_variables(const std::map<std::string, Variable>& variables,
                     const std::vector<std::string>& inputs,
                     const std::map<std::string, Parameter>& parameters) {
  for (const std::string& name : inputs) {
    const auto found = variables.find(name);
    if (found == variables.end()) {
      fail("nodes", "the variable '" + name + "' of model.json's inputs", "none of that name");
    }
    const Attributes& attributes = found->second.attributes;
    const bool plain = attributes.empty() || attributes == Attributes{{"__dtype__", "0"}};
    if (found->second.is_auxiliary || !plain) {
      fail("the variable '" + name + "'", "a float32 input without a shape", text_of(attributes));
    }
  }
  size_t used = 0;
  for (const auto& [name, variable] : variables) {
    if (std::find(inputs.begin(), inputs.end(), name) != inputs.end()) continue;
    const std::string key = (variable.is_auxiliary ? "aux:" : "arg:") + name;
    const auto parameter = parameters.find(key);
    if (parameter == parameters.end()) {
      fail("the variable '" + name + "'", "'" + key + "' in the parameter file", "none");
    }
    const Attributes expected = {{"__dtype__", std::to_string(parameter->second.type)},
                                 {"__shape__", shape_text(parameter->second.shape)}};
    if (variable.attributes != expected) {
      fail("the variable '" + name + "'", text_of(expected) + " of the parameter file",
           text_of(variable.attributes));
    }
    ++used;
  }
  if (used == parameters.size()) return;
  for (const auto& [key, parameter] : parameters) {
    const auto found = variables.find(key.substr(std::min(key.size(), size_t(4))));
    const bool is_input = std::find(inputs.begin(), inputs.end(),
                                    key.substr(std::min(key.size(), size_t(4)))) != inputs.end();
    const char* prefix = found != variables.end() && found->second.is_auxiliary ? "aux:" : "arg:";
    if (found == variables.end() || is_input || key.compare(0, 4, prefix) != 0) {
      fail("nodes", "a variable for the parameter '" + key + "'", "none");
    }
  }
}

}  // namespace detkit
