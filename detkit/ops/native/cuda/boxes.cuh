// Boxes and their overlap, with the same bits as on the CPU: products are rounded before they are
// added to anything (__fmul_rn is never fused), whatever -fmad says.
#pragma once

#include "launch.cuh"

namespace detkit {
namespace cuda {

// Aligned, so that a box in memory of our own is read in one load.
struct alignas(16) Box {
  float x1, y1, x2, y2;
};

// Four loads, because an array that is part of another need not be aligned to 16 bytes.
__device__ inline Box load_box(const float* box) { return {box[0], box[1], box[2], box[3]}; }

__device__ inline void store_box(float* out, const Box& box) {
  out[0] = box.x1, out[1] = box.y1, out[2] = box.x2, out[3] = box.y2;
}

__device__ inline bool is_finite(const Box& box) {
  return is_finite(box.x1) && is_finite(box.y1) && is_finite(box.x2) && is_finite(box.y2);
}

// The area between corners; it is 0 if they are inverted.
__device__ inline float area(float x1, float y1, float x2, float y2) {
  return __fmul_rn(fmaxf(x2 - x1, 0.0f), fmaxf(y2 - y1, 0.0f));
}
__device__ inline float area(const Box& box) { return area(box.x1, box.y1, box.x2, box.y2); }

__device__ inline float overlap(const Box& a, const Box& b) {
  return area(fmaxf(a.x1, b.x1), fmaxf(a.y1, b.y1), fminf(a.x2, b.x2), fminf(a.y2, b.y2));
}

// The IoU, NaN for 0 / 0 and inf / inf. It is symmetric in its boxes, to the bit.
__device__ inline float iou(float shared, float area, float other_area) {
  return __fdiv_rn(shared, __fsub_rn(__fadd_rn(area, other_area), shared));
}

// The bits of a label, equal if the labels are: there is one NaN and one zero.
__device__ inline uint32_t label_bits(float label) {
  return label != label ? 0x7fc00000u : __float_as_uint(label + 0.0f);
}

}  // namespace cuda
}  // namespace detkit
