// A network of MXNet: arrays in, arrays out, for any batch and image size.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model.hpp"
#include "shapes.hpp"

namespace detkit {

struct Output {
  std::vector<uint32_t> shape;
  std::vector<float> values;
};

// MXNet binds a network to one shape of its input, and binds it again for another shape. This takes
// a tenth of the time of a detection. The new network takes over the memory of the old one, so that
// the memory is what the largest shape needs. A network for each shape would need its own memory
// and its own copy of the weights, which oneDNN keeps in another order.
class Predictor {
 public:
  // Loads the library of operators, once in a process, and the network. Throws Error.
  explicit Predictor(const Model& model);
  ~Predictor();
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;

  // Takes images (B, 3, H, W), sizes (B, 2), height and width, and scales (B, 2), x and y: resized
  // size / original size. They are passed on if the model has such an input. Returns the model's
  // outputs. Throws Error.
  std::vector<Output> run(const std::vector<float>& images, const std::vector<float>& sizes,
                          const std::vector<float>& scales, uint32_t batch, Size canvas);

 private:
  using Canvas = std::array<uint32_t, 3>;  // B, H, W

  void create(const Model& model, Canvas shape);
  void bind(Canvas shape);
  Output output(uint32_t index);
  void check(int status, const std::string& doing) const;
  void check_shapes(Canvas shape);

  std::string name_, version_;  // of the network's file, and of the MXNet that exported it
  std::vector<std::string> inputs_;
  size_t outputs_;
  std::unique_ptr<NetworkShapes> shapes_;
  void* handle_ = nullptr;
  Canvas bound_{};
};

}  // namespace detkit
