// What the back ends share that run the model.onnx of a folder.
#pragma once

#include <string>
#include <vector>

#include "model.hpp"

namespace detkit {

constexpr char kOnnxFile[] = "model.onnx";

// Returns the bytes of model.onnx. Throws Error if it is missing, larger than 2 GiB, or has another
// SHA-256 than model.json says. A model.json that says none is accepted.
std::string read_onnx(const Model& model);

// Throws Error unless the network has the inputs and outputs of model.json, in any order.
void check_names(const Model& model, std::vector<std::string> inputs,
                 std::vector<std::string> outputs);

// Returns an error about model.onnx: what the back end was doing, and its own message.
Error onnx_error(const Model& model, const std::string& doing, const std::string& message);

// Returns the number of cores that a network uses, which is OMP_NUM_THREADS, or 0 if the back end
// chooses.
int cores();

}  // namespace detkit
