// A 3x3 convolution of each channel. A plane is copied with a border of zeros first, so that every
// vector of outputs is made in the same way.
#include "../checks.h"
#include "arena.h"
#include "before_relu.h"
#include "pixels.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

constexpr int kTaps = 9;
constexpr int kRowsTogether = 8;  // are added in single precision

struct Plan {
  explicit Plan(const DetkitDepthwise& conv)
      : conv(conv),
        rows((conv.height + conv.stride - 1) / conv.stride),
        columns((conv.width + conv.stride - 1) / conv.stride),
        line(static_cast<size_t>(conv.width) + 2 + 3 * kLanes),
        bound{conv.relu != 0, conv.most},
        threads(available_threads()) {}

  size_t plane() const { return static_cast<size_t>(conv.height) * conv.width; }
  size_t out_plane() const { return static_cast<size_t>(rows) * columns; }
  size_t padded() const { return (static_cast<size_t>(conv.height) + 2) * line; }

  const DetkitDepthwise& conv;
  const int rows, columns;  // of the outputs
  const size_t line;        // floats of a row of a plane with its border
  const Bound bound;
  const int threads;
};

// The bytes of planes with their borders.
size_t bytes_of(const Plan& plan, int planes) {
  Arena arena(nullptr);
  for (int i = 0; i < planes; ++i) arena.take<float>(plan.padded());
  return arena.used();
}

void pad(const Plan& plan, const float* plane, float* to) {
  const int width = plan.conv.width;
  memset(to, 0, sizeof(float) * plan.line);
  for (int y = 0; y < plan.conv.height; ++y, plane += width) {
    to += plan.line;
    to[0] = 0.0f;
    memcpy(to + 1, plane, sizeof(float) * static_cast<size_t>(width));
    memset(to + 1 + width, 0, sizeof(float) * (plan.line - 1 - static_cast<size_t>(width)));
  }
  memset(to + plan.line, 0, sizeof(float) * plan.line);
}

// body(tap, kLanes pixels that the tap reads) for the outputs from x on, whose first row of pixels
// is `padded`.
template <int kStride, class Body>
inline void for_taps(const float* padded, size_t line, int x, const Body& body) {
  const float* from = padded + static_cast<size_t>(x) * kStride;
#pragma GCC unroll 4
  for (int i = 0; i < 3; ++i, from += line) {
    if (kStride == 1) {
      body(i * 3, load_lanes(from));
      body(i * 3 + 1, load_lanes(from + 1));
      body(i * 3 + 2, load_lanes(from + 2));
    } else {
      Floats even, odd, next, unused;
      split_pairs(load_lanes(from), load_lanes(from + kLanes), even, odd);
      split_pairs(load_lanes(from + 2), load_lanes(from + 2 + kLanes), next, unused);
      body(i * 3, even);
      body(i * 3 + 1, odd);
      body(i * 3 + 2, next);
    }
  }
}

// A plane of outputs (rows, columns) of a plane with its border.
template <int kStride>
void convolve_plane(const float* padded, size_t line, const float* weights, float bias,
                    const Bound& bound, int rows, int columns, float* out) {
  Floats weight[kTaps];
  for (int tap = 0; tap < kTaps; ++tap) weight[tap] = spread(weights[tap]);
  for (int y = 0; y < rows; ++y, padded += kStride * line, out += columns) {
    for (int x = 0; x < columns; x += kLanes) {
      Floats sum = spread(bias);
      for_taps<kStride>(padded, line, x, [&](int tap, Floats in) { sum += weight[tap] * in; });
      store_up_to(out + x, bound.apply(sum), columns - x);
    }
  }
}

// Sums over pixels in double precision: of each tap, and of the bias.
struct Sums {
  double of[kTaps + 1] = {};

  void add(int number, Floats sum) {
    for (int lane = 0; lane < kLanes; ++lane) of[number] += sum[lane];
  }
};

// Adds a plane to the gradients of its channel's weights and bias, and writes the gradient before
// the ReLU between zeros, where a stride of 1 would have its outputs.
template <int kStride>
void weights_gradient(const Plan& plan, const float* padded, const float* out,
                      const float* gradient, float* spread_out, Sums* sums) {
  for (int y = 0; y < plan.rows;) {
    Floats sum[kTaps] = {}, of_bias = {};
    const int end = plan.rows - y < kRowsTogether ? plan.rows : y + kRowsTogether;
    for (; y < end; ++y, padded += kStride * plan.line) {
      float* to = spread_out + (1 + static_cast<size_t>(y) * kStride) * plan.line + 1;
      for (int x = 0; x < plan.columns; x += kLanes) {
        const int left = plan.columns - x;
        const Floats value = plan.bound.gradient(out + x, gradient + x, left);
        store_pixels(to + static_cast<size_t>(x) * kStride, value, kStride, left);
        of_bias += value;
        for_taps<kStride>(padded, plan.line, x,
                          [&](int tap, Floats in) { sum[tap] += value * in; });
      }
      out += plan.columns, gradient += plan.columns;
    }
    for (int tap = 0; tap < kTaps; ++tap) sums->add(tap, sum[tap]);
    sums->add(kTaps, of_bias);
  }
}

}  // namespace

int depthwise_workspace(const DetkitDepthwise* conv, int64_t* forward, int64_t* backward) {
  if (!is_valid(*conv)) return DETKIT_BAD_ARGUMENT;
  const Plan plan(*conv);
  *forward = static_cast<int64_t>(bytes_of(plan, 1)) * plan.threads;
  *backward = static_cast<int64_t>(bytes_of(plan, 2)) * plan.threads;
  return DETKIT_OK;
}

int depthwise(const DetkitDepthwise* conv, const float* data, const float* weights,
              const float* bias, void* workspace, float* out) {
  if (!is_valid(*conv)) return DETKIT_BAD_ARGUMENT;
  const Plan plan(*conv);
  const size_t bytes = bytes_of(plan, 1);
  const int64_t maps = int64_t{conv->images} * conv->channels;
  const auto convolve = conv->stride == 1 ? convolve_plane<1> : convolve_plane<2>;
#pragma omp parallel for num_threads(threads_for(maps, 0.5 * plan.plane())) schedule(static)
  for (int64_t map = 0; map < maps; ++map) {
    Arena arena(static_cast<char*>(workspace) + bytes * static_cast<size_t>(this_thread()));
    float* padded = arena.take<float>(plan.padded());
    const int channel = static_cast<int>(map % conv->channels);
    pad(plan, data + map * plan.plane(), padded);
    convolve(padded, plan.line, weights + channel * kTaps, bias ? bias[channel] : 0.0f, plan.bound,
             plan.rows, plan.columns, out + map * plan.out_plane());
  }
  return DETKIT_OK;
}

int depthwise_backward(const DetkitDepthwise* conv, const float* data, const float* weights,
                       const float* out, const float* grad_out, void* workspace, float* grad_data,
                       float* grad_weights, float* grad_bias) {
  if (!is_valid(*conv)) return DETKIT_BAD_ARGUMENT;
  const Plan plan(*conv);
  const size_t bytes = bytes_of(plan, 2);
  const auto gradient = conv->stride == 1 ? weights_gradient<1> : weights_gradient<2>;
  const double time = 2.0 * plan.plane() * conv->images;
#pragma omp parallel for num_threads(threads_for(conv->channels, time)) schedule(static)
  for (int channel = 0; channel < conv->channels; ++channel) {
    Arena arena(static_cast<char*>(workspace) + bytes * static_cast<size_t>(this_thread()));
    float* padded = arena.take<float>(plan.padded());
    float* spread_out = arena.take<float>(plan.padded());
    memset(spread_out, 0, sizeof(float) * plan.padded());
    float turned[kTaps];
    for (int tap = 0; tap < kTaps; ++tap) turned[tap] = weights[channel * kTaps + 8 - tap];
    Sums sums;
    for (int image = 0; image < conv->images; ++image) {
      const size_t map = static_cast<size_t>(image) * conv->channels + channel;
      pad(plan, data + map * plan.plane(), padded);
      gradient(plan, padded, out + map * plan.out_plane(), grad_out + map * plan.out_plane(),
               spread_out, &sums);
      convolve_plane<1>(spread_out, plan.line, turned, 0.0f, {false, 0.0f}, conv->height,
                        conv->width, grad_data + map * plan.plane());
    }
    for (int tap = 0; tap < kTaps; ++tap) {
      grad_weights[channel * kTaps + tap] = static_cast<float>(sums.of[tap]);
    }
    if (grad_bias) grad_bias[channel] = static_cast<float>(sums.of[kTaps]);
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(depthwise_workspace,
              (const DetkitDepthwise* conv, int64_t* forward, int64_t* backward),
              (conv, forward, backward))
DETKIT_KERNEL(depthwise,
              (const DetkitDepthwise* conv, const float* data, const float* weights,
               const float* bias, void* workspace, float* out),
              (conv, data, weights, bias, workspace, out))
DETKIT_KERNEL(depthwise_backward,
              (const DetkitDepthwise* conv, const float* data, const float* weights,
               const float* out, const float* grad_out, void* workspace, float* grad_data,
               float* grad_weights, float* grad_bias),
              (conv, data, weights, out, grad_out, workspace, grad_data, grad_weights, grad_bias))
