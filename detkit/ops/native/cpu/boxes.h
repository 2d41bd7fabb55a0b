// Boxes, single and in columns, and the areas that they share. Every kernel that compares boxes
// computes areas and overlaps here, in float32 and without fused operations, so that the kernels
// agree to the bit with each other and with detkit/boxes.py.
#pragma once

#include "arena.h"
#include "simd.h"

namespace detkit {
namespace DETKIT_ISA {

inline bool is_finite(float x) { return __builtin_fabsf(x) <= __FLT_MAX__; }

// A box with its area, which is 0 if the box is inverted.
struct MeasuredBox {
  float x1, y1, x2, y2, area;
};

inline bool is_finite(const float* box) {
  return is_finite(box[0]) && is_finite(box[1]) && is_finite(box[2]) && is_finite(box[3]);
}

inline MeasuredBox measured(float x1, float y1, float x2, float y2) {
  const float width = x2 > x1 ? x2 - x1 : 0, height = y2 > y1 ? y2 - y1 : 0;
  return {x1, y1, x2, y2, width * height};
}
inline MeasuredBox measured(const float* box) { return measured(box[0], box[1], box[2], box[3]); }

// A structure of arrays: five loads read a vector of boxes.
struct Columns {
  float *x1, *y1, *x2, *y2, *area;

  Columns(Arena* arena, size_t capacity)
      : x1(arena->take<float>(capacity)),
        y1(arena->take<float>(capacity)),
        x2(arena->take<float>(capacity)),
        y2(arena->take<float>(capacity)),
        area(arena->take<float>(capacity)) {}

  MeasuredBox get(size_t i) const { return {x1[i], y1[i], x2[i], y2[i], area[i]}; }
  void set(size_t i, const MeasuredBox& box) const {
    x1[i] = box.x1, y1[i] = box.y1, x2[i] = box.x2, y2[i] = box.y2, area[i] = box.area;
  }
};

// One box in every lane, or a different one in each.
struct BoxLanes {
  Floats x1, y1, x2, y2, area;

  BoxLanes(Floats x1, Floats y1, Floats x2, Floats y2, Floats area)
      : x1(x1), y1(y1), x2(x2), y2(y2), area(area) {}
  explicit BoxLanes(const MeasuredBox& box)
      : x1(spread(box.x1)),
        y1(spread(box.y1)),
        x2(spread(box.x2)),
        y2(spread(box.y2)),
        area(spread(box.area)) {}
  BoxLanes(const Columns& boxes, size_t i)
      : x1(load_lanes(boxes.x1 + i)),
        y1(load_lanes(boxes.y1 + i)),
        x2(load_lanes(boxes.x2 + i)),
        y2(load_lanes(boxes.y2 + i)),
        area(load_lanes(boxes.area + i)) {}
};

// The area common to a and b. It is not positive, or not a number, if the boxes do not overlap: one
// side may be negative. It is compared only with numbers that are not negative.
inline Floats overlap(const BoxLanes& a, const BoxLanes& b) {
  const Floats width = max(min(a.x2, b.x2) - max(a.x1, b.x1), Floats{});
  return width * (min(a.y2, b.y2) - max(a.y1, b.y1));
}

}  // namespace DETKIT_ISA
}  // namespace detkit
