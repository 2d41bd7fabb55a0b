// A network: arrays in, arrays out, for any batch and image size.
//
// A back end is a file that defines what is declared here: predictor_mxnet.cpp runs the symbol,
// predictor_onnxruntime.cpp and predictor_openvino.cpp run model.onnx. CMake compiles one of them
// (-DDETKIT_BACKEND).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model.hpp"

namespace detkit {

struct Backend {
  const char* name;
  size_t least_mib;  // of addresses, for the library and a small network
};

extern const Backend kBackend;

// An array of float32. The values are the caller's.
struct Input {
  std::string name;
  std::vector<uint32_t> shape;
  const std::vector<float>* values;
};

struct Output {
  std::vector<uint32_t> shape;
  std::vector<float> values;
};

// Sets what the back end reads from the environment, unless the user has set it. To be called
// before the first Predictor and the first thread.
void prepare_process();

class Predictor {
 public:
  // Loads the network. Throws Error.
  explicit Predictor(const Model& model);
  ~Predictor();
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;

  // Takes the arrays of Model::inputs in their order: images (B, 3, H, W), and sizes and perhaps
  // scales (B, 2). Returns the model's outputs. Throws Error.
  std::vector<Output> run(const std::vector<Input>& inputs);

  // Returns a sentence if this processor computes less exactly than the model expects, else "".
  static std::string warning(const Model& model);

 private:
  struct Network;
  std::unique_ptr<Network> network_;
};

}  // namespace detkit
