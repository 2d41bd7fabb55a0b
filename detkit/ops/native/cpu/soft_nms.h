// Soft non-maximum suppression (Bodla et al. 2017) of one list of boxes: the best box leaves, the
// scores of the boxes that overlap it decay, and so on.
//
// One pass over the remaining boxes, a vector at a time, decays the scores and finds the next best
// box. The last box of the list fills the gap of the one that left.
#pragma once

#include <math.h>
#include <string.h>

#include "threshold.h"

namespace detkit {
namespace DETKIT_ISA {

class SoftNms {
 public:
  SoftNms(Arena* arena, size_t capacity)
      : boxes_(arena, capacity + kLanes),
        bars_(arena->take<float>(capacity + kLanes)),
        scores_(arena->take<float>(capacity + kLanes)),
        rows_(arena->take<int32_t>(capacity + kLanes)) {}

  void set(size_t i, int32_t row, const MeasuredBox& box, float score) {
    boxes_.set(i, box);
    scores_[i] = score;
    rows_[i] = row;
  }

  // Removes at most `most` of the n boxes that were set, best first, while the best score is at
  // least the lowest that counts, and writes those scores to left[row].
  void run(const DetkitNms& nms, size_t n, size_t most, float* left) {
    const Threshold threshold(nms.mode == DETKIT_NMS_LINEAR ? nms.iou : 0);
    for (size_t i = 0; i < n; ++i) bars_[i] = threshold.bar(boxes_.area[i]);
    for (size_t i = n; i < n + kLanes; ++i) erase(i);
    size_t best = best_of(n);
    for (; n > 0 && most > 0 && !(scores_[best] < nms.min_score); --most) {
      left[rows_[best]] = scores_[best];
      const MeasuredBox box = boxes_.get(best);
      move(--n, best);
      best = decay(nms, threshold, box, n);
    }
  }

 private:
  // Makes an entry that is never the best and never decays.
  void erase(size_t i) {
    boxes_.set(i, {0, 0, 0, 0, 0});
    scores_[i] = -1;
    bars_[i] = __builtin_inff();
    rows_[i] = INT32_MAX;
  }
  void move(size_t from, size_t to) {
    set(to, rows_[from], boxes_.get(from), scores_[from]);
    bars_[to] = bars_[from];
    erase(from);
  }

  // The best box of each lane so far: the largest score, and the lowest row of equal scores.
  struct BestLanes {
    Floats scores = spread(-1.0f);
    Ints rows = spread(INT32_MAX), at = spread(0);

    void see(Floats others, Ints other_rows, size_t first) {
      const Ints better = (others > scores) | ((others == scores) & (other_rows < rows));
      scores = better ? others : scores;
      rows = better ? other_rows : rows;
      at = better ? spread(static_cast<int32_t>(first)) : at;
    }
    size_t position() const {
      int lane = 0;
      for (int k = 1; k < kLanes; ++k) {
        const bool better =
            scores[k] > scores[lane] || (scores[k] == scores[lane] && rows[k] < rows[lane]);
        if (better) lane = k;
      }
      return static_cast<size_t>(at[lane] + lane);
    }
  };

  void see(size_t first, BestLanes* best) const {
    best->see(load_lanes(scores_ + first), load_lanes(rows_ + first), first);
  }
  size_t best_of(size_t n) const {
    BestLanes best;
    for (size_t i = 0; i < n; i += kLanes) see(i, &best);
    return best.position();
  }

  // Decays the scores of the n boxes by their overlap with this one. Returns the best of them.
  size_t decay(const DetkitNms& nms, const Threshold& threshold, const MeasuredBox& box, size_t n) {
    const BoxLanes lanes(box);
    const Floats bar = threshold.bar_of_one(box.area);
    BestLanes best;
    for (size_t i = 0; i < n; i += kLanes) {
      const BoxLanes others(boxes_, i);
      uint32_t above = threshold.above(lanes, bar, others, load_lanes(bars_ + i));
      if (above) {
        float iou[kLanes];
        store_lanes(iou, Threshold::iou(lanes, others, overlap(lanes, others)));
        for (; above; above &= above - 1) {
          const int lane = lowest(above);
          scores_[i + lane] *= nms.mode == DETKIT_NMS_LINEAR
                                   ? 1 - iou[lane]
                                   : expf(-(iou[lane] * iou[lane]) / nms.sigma);
        }
      }
      see(i, &best);
    }
    return best.position();
  }

  Columns boxes_;
  float *bars_, *scores_;
  int32_t* rows_;
};

}  // namespace DETKIT_ISA
}  // namespace detkit
