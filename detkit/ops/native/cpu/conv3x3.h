// What the forward and the backward pass of a 3x3 convolution share.
#pragma once

#include "../kernels_conv.h"
#include "arena.h"
#include "before_relu.h"
#include "tiles.h"

namespace detkit {
namespace DETKIT_ISA {

// A float of an array that many channels share the rows of: rows in step with the cache's sets
// would evict each other.
constexpr size_t kPad = 16;

inline int round_up(int count, int step) { return (count + step - 1) / step * step; }

// The convolution whose output is the gradient of this one's data.
inline DetkitConv3x3 turned(const DetkitConv3x3& conv) {
  return {conv.images,
          conv.out_channels,
          conv.in_channels,
          conv.height,
          conv.width,
          0,
          0.0f,
          conv.bfloat16,
          0,
          0};
}

inline Bound bound_of(const DetkitConv3x3& conv) { return {conv.relu != 0, conv.most}; }

// The bytes of memory that convolve() needs.
size_t convolution_bytes(const DetkitConv3x3& conv);

// out = the convolution of data. is_turned: weights (in, out, 3, 3) belong to the convolution that
// this one is turned of.
void convolve(const DetkitConv3x3& conv, bool is_turned, const float* data, const float* weights,
              const float* bias, char* memory, float* out);

}  // namespace DETKIT_ISA
}  // namespace detkit
