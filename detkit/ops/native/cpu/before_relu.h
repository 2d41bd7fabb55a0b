// The gradient before a ReLU, which the convolutions have built in.
#pragma once

#include "simd.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {

// A ReLU with an upper bound, or none.
struct Bound {
  bool relu;
  float most;

  // A NaN stays a NaN.
  Floats apply(Floats x) const { return relu ? min(spread(most), max(Floats{}, x)) : x; }

  // Up to `count` lanes of the gradient before the ReLU, of which out is the result.
  Floats gradient(const float* out, const float* of_out, int count) const {
    const Floats value = load_up_to(of_out, count);
    if (!relu) return value;
    const Floats y = load_up_to(out, count);
    return (y > Floats{}) & (y < spread(most)) ? value : Floats{};
  }
};

// The gradient of `count` numbers before the ReLU, of which out is the result. It is written if
// `to` is not null. Returns its sum.
inline double gradient_before_relu(const Bound& bound, const float* out, const float* gradient,
                                   size_t count, float* to) {
  constexpr size_t kStep = 64 * kLanes;  // are added in single precision
  double total = 0.0;
  for (size_t start = 0; start < count; start += kStep) {
    Floats sum = {};
    const size_t end = count - start < kStep ? count : start + kStep;
    for (size_t i = start; i < end; i += kLanes) {
      const int left = static_cast<int>(end - i);
      const Floats value = bound.gradient(out + i, gradient + i, left);
      sum += value;
      if (to) store_up_to(to + i, value, left);
    }
    for (int lane = 0; lane < kLanes; ++lane) total += sum[lane];
  }
  return total;
}

// The gradient of maps (images, channels, plane) before the ReLU, and its sums for each channel.
// Both may be null.
inline void before_relu(const Bound& bound, int images, int channels, size_t plane,
                        const float* out, const float* gradient, float* to, float* sums) {
  if (!to && !sums) return;
  const int threads = threads_for(channels, 0.3 * static_cast<double>(plane) * images);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int channel = 0; channel < channels; ++channel) {
    double sum = 0.0;
    for (int image = 0; image < images; ++image) {
      const size_t map = (static_cast<size_t>(image) * channels + channel) * plane;
      sum += gradient_before_relu(bound, out + map, gradient + map, plane, to ? to + map : nullptr);
    }
    if (sums) sums[channel] = static_cast<float>(sum);
  }
}

}  // namespace DETKIT_ISA
}  // namespace detkit
