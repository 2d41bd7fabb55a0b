// A network of MXNet: arrays in, arrays out, whatever their batch and image size.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model.hpp"

namespace detkit {

struct Output {
  std::vector<uint32_t> shape;
  std::vector<float> values;
};

// MXNet binds a network to one shape of its input. Another shape binds it anew: a tenth of the time
// of a detection, and the memory of the network bound before goes to the next, so that there is
// never more than the largest shape needs. (Keeping one for each shape would take that much for
// each, and the weights again, which oneDNN keeps in an order of its own.)
class Predictor {
 public:
  // Loads the operators' library, once in a process, and the network. Throws Error.
  explicit Predictor(const Model& model);
  ~Predictor();
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;

  // images (B, 3, H, W), sizes (B, 2) h w; the model's outputs. Throws Error.
  std::vector<Output> run(const std::vector<float>& images, const std::vector<float>& sizes,
                          uint32_t batch, Size canvas);

 private:
  using Shape = std::array<uint32_t, 3>;  // B, H, W

  void create(const Model& model, Shape shape);
  void bind(Shape shape);
  Output output(uint32_t index);
  void check(int status, const std::string& doing) const;

  std::string name_, version_;  // of the network, and of the MXNet that it was exported with
  std::array<std::string, 2> inputs_;
  size_t outputs_;
  void* handle_ = nullptr;
  Shape bound_{};
};

}  // namespace detkit
