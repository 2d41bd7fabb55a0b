// What the forward and the backward pass of a 1x1 convolution share.
#pragma once

#include "../kernels_conv.h"
#include "arena.h"
#include "before_relu.h"
#include "pixels.h"

namespace detkit {
namespace DETKIT_ISA {

// A product of weights (out, in) and pixels, from one kind of maps to another.
struct PixelProduct {
  PixelGrid grid;
  Layout from, to;
  int in, out;
  Bound bound;
};

// The bytes of memory that multiply_pixels() needs.
size_t product_bytes(const PixelProduct& product);

// out = weights x data + bias + residual, after the bound. bias and residual may be null.
void multiply_pixels(const PixelProduct& product, const float* data, const float* weights,
                     const float* bias, const float* residual, char* memory, float* out);

// The same for maps of one pixel, whose pixels do not follow each other.
inline bool is_dense(const PixelProduct& product) {
  return product.from.plane == 1 && product.to.plane == 1;
}
size_t dense_bytes(const PixelProduct& product);
void multiply_dense(const PixelProduct& product, const float* data, const float* weights,
                    const float* bias, const float* residual, char* memory, float* out);

inline PixelProduct forward_product(const DetkitConv1x1& conv) {
  const PixelGrid grid(conv.images, conv.height, conv.width, conv.stride);
  const Bound bound = {conv.relu != 0, conv.most};
  return {grid, grid.whole, grid.dense, conv.in_channels, conv.out_channels, bound};
}

}  // namespace DETKIT_ISA
}  // namespace detkit
