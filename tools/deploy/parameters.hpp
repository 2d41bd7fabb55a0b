// A file of mx.nd.save, read without MXNet, which takes counts and shapes on trust.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace detkit {

struct Parameter {
  int type;  // MXNet's number of it
  std::vector<int64_t> shape;
};

// Returns the shape and type of each array by name. Throws Error if the bytes are no such file, are
// damaged, or hold anything but dense arrays of the CPU, each with a name of its own.
std::map<std::string, Parameter> read_parameters(const std::string& bytes);

}  // namespace detkit
