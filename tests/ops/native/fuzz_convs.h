// What the cases of convolutions are made of: a workspace, plain sums, and shapes.
#pragma once

#include "fuzz_kernels.h"

namespace {

constexpr int64_t kMostProducts = 1 << 22;  // of pixels and pairs of channels, of a case

// Memory of exactly so many bytes from a multiple of 64 on, full of NaN.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) {
    const size_t count = size_t(bytes);
    require(bytes >= 0 && count % 64 == 0, "a workspace of %lld bytes", (long long)(bytes));
    memory_ = aligned_alloc(64, count);
    memset(memory_, 0xff, count);
  }
  Workspace(const Workspace&) = delete;
  ~Workspace() { free(memory_); }
  void* memory() const { return memory_; }

 private:
  void* memory_;
};

// A sum of products: its value, its terms, and whether some are NaN or infinite.
struct Sum {
  double value = 0;
  int terms = 0;
  bool has_nan = false, has_infinity = false;

  void add(float a, float b) {
    value += double(a) * b;
    ++terms;
    has_nan = has_nan || isnan(a) || isnan(b);
    has_infinity = has_infinity || isinf(a) || isinf(b);
  }
};

// The shape of a convolution. Each channel has weights of its own if it is a depthwise one.
struct Shape {
  int kernel, stride;
  bool depthwise;
  int images, in_channels, out_channels, height, width;

  Shape(Random& random, int kernel, bool has_stride, bool depthwise)
      : kernel(kernel), stride(has_stride ? random.between(1, 2) : 1), depthwise(depthwise) {
    images = random.chance(0.04) ? 0 : random.between(1, 3);
    in_channels = channels(random);
    out_channels = depthwise ? in_channels : channels(random);
    height = side(random), width = side(random);
    if (kernel == 1 && random.chance(0.2)) {  // a product of matrices
      height = width = 1;
      if (random.chance(0.3)) images = random.between(0, 350);
    }
    const int64_t pairs = int64_t(depth()) * out_channels * images;
    while (pairs * height * width > kMostProducts) {
      height = (height + 1) / 2, width = (width + 1) / 2;
    }
  }
  // Often few; now and then about a whole number of vectors, of blocks or of groups.
  static int channels(Random& random) {
    if (random.chance(0.1)) return random.one_of({15, 16, 17, 31, 32, 33, 63, 64, 65});
    return random.between(1, random.chance(0.05) ? 140 : 10);
  }
  static int side(Random& random) {
    if (random.chance(0.1)) return random.one_of({1, 2, 3, 4, 5, 61, 64, 65, 70, 130});
    return random.between(1, 21);
  }

  int taps() const { return kernel * kernel; }
  int depth() const { return depthwise ? 1 : in_channels; }  // the inputs of an output
  int input(int o, int i) const { return depthwise ? o : i; }
  int rows() const { return (height + stride - 1) / stride; }
  int columns() const { return (width + stride - 1) / stride; }
  size_t plane() const { return size_t(height) * size_t(width); }
  size_t out_plane() const { return size_t(rows()) * size_t(columns()); }
  size_t in_count() const { return size_t(images) * size_t(in_channels) * plane(); }
  size_t out_count() const { return size_t(images) * size_t(out_channels) * out_plane(); }
  size_t weight_count() const { return size_t(out_channels) * size_t(depth()) * size_t(taps()); }

  size_t at_weight(int o, int i, int tap) const {
    return (size_t(o) * size_t(depth()) + size_t(i)) * size_t(taps()) + size_t(tap);
  }
  size_t in_map(int image, int channel) const {
    return (size_t(image) * size_t(in_channels) + size_t(channel)) * plane();
  }
  size_t out_map(int image, int channel) const {
    return (size_t(image) * size_t(out_channels) + size_t(channel)) * out_plane();
  }

  // Calls body(tap, position in the data) for the taps of the output (y, x) that lie in the map.
  template <class Body>
  void inputs_of(int y, int x, const Body& body) const {
    for (int tap = 0; tap < taps(); ++tap) {
      const int row = y * stride + tap / kernel - kernel / 2;
      const int column = x * stride + tap % kernel - kernel / 2;
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      body(tap, size_t(row) * size_t(width) + size_t(column));
    }
  }
  // Calls body(tap, position in the output) for the outputs that read the pixel (y, x).
  template <class Body>
  void outputs_of(int y, int x, const Body& body) const {
    for (int tap = 0; tap < taps(); ++tap) {
      const int row = y + kernel / 2 - tap / kernel, column = x + kernel / 2 - tap % kernel;
      if (row < 0 || column < 0 || row % stride || column % stride) continue;
      if (row / stride >= rows() || column / stride >= columns()) continue;
      body(tap, size_t(row / stride) * size_t(columns()) + size_t(column / stride));
    }
  }
};

}  // namespace
