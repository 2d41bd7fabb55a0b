// Greedy non-maximum suppression of one list of boxes, best first: a box is kept if no kept box
// overlaps it more than the threshold.
//
// The kept boxes are columns. Each candidate is compared with them, a vector at a time, until one
// of them suppresses it; most lists end with a few hundred kept boxes. If there are more, the rest
// of the list goes into a grid, from which every kept box removes its neighbours.
#pragma once

#include "grid.h"

namespace detkit {
namespace DETKIT_ISA {

class GreedyNms {
 public:
  GreedyNms(Arena* arena, size_t capacity)
      : boxes(arena, capacity + kLanes),
        kept(arena->take<int32_t>(capacity)),
        bars_(arena->take<float>(capacity + kLanes)),
        dead_(arena->take<uint8_t>(capacity)),
        grid_(arena, capacity) {}

  // Keeps at most `most` of boxes[0] to boxes[n - 1]: moves them to the front of boxes, writes
  // their former positions to kept, and returns how many they are.
  size_t run(size_t n, const Threshold& threshold, size_t most) {
    size_t count = 0;
    for (size_t i = 0; i < n && count < most; ++i) {
      if (count >= kManyKept && n - i >= kManyLeft && threshold.value() >= Grid::kLowestIou) {
        return run_with_grid(i, n, threshold, most, count);
      }
      const MeasuredBox box = boxes.get(i);
      if (is_suppressed(box, threshold, count)) continue;
      if (count % kLanes == 0) store_lanes(bars_ + count, spread(__builtin_inff()));
      bars_[count] = threshold.bar(box.area);
      keep(i, box, count++);
    }
    return count;
  }

  const Columns boxes;
  int32_t* const kept;

 private:
  static constexpr size_t kManyKept = 256, kManyLeft = 1024;

  // `to` is not beyond `position`: kept boxes overwrite only boxes that have been dealt with.
  void keep(size_t position, const MeasuredBox& box, size_t to) const {
    boxes.set(to, box);
    kept[to] = static_cast<int32_t>(position);
  }

  bool is_suppressed(const MeasuredBox& box, const Threshold& threshold, size_t count) const {
    const BoxLanes lanes(box);
    const Floats bar = threshold.bar_of_one(box.area);
    for (size_t i = 0; i < count; i += kLanes) {
      if (threshold.above(lanes, bar, BoxLanes(boxes, i), load_lanes(bars_ + i))) return true;
    }
    return false;
  }

  // Goes on from boxes[next]; `count` boxes have been kept so far.
  size_t run_with_grid(size_t next, size_t n, const Threshold& threshold, size_t most,
                       size_t count) {
    memset(dead_, 0, n);
    grid_.build(boxes, next, n, threshold);
    for (size_t i = 0; i < count; ++i) grid_.suppress(boxes.get(i), threshold, dead_);
    for (; next < n && count < most; ++next) {
      if (dead_[next]) continue;
      const MeasuredBox box = boxes.get(next);
      grid_.suppress(box, threshold, dead_);
      keep(next, box, count++);
    }
    return count;
  }

  float* bars_;
  uint8_t* dead_;
  Grid grid_;
};

}  // namespace DETKIT_ISA
}  // namespace detkit
