// "IoU above a threshold", decided to the bit as inter / (area + other area - inter) > threshold in
// float32, and nearly always without the division: a cheap comparison, which never misses a pair
// but lets a few too many through, finds the few pairs that need the division.
#pragma once

#include "boxes.h"

namespace detkit {
namespace DETKIT_ISA {

class Threshold {
 public:
  // iou is not negative. IoU > t means inter > t / (1 + t) * (area + other area). The share is
  // lowered by far more than the rounding of float32, and the slack covers denormal areas.
  explicit Threshold(float iou)
      : iou_(iou),
        share_(iou < 1e-30f ? 0 : iou / (1 + iou) * (1 - 1e-5f)),
        slack_(iou < 1e-30f ? 0 : 1e-37f) {}

  float value() const { return iou_; }

  // Two boxes each add their part to the bar that their intersection has to pass. Nothing passes an
  // infinite bar.
  float bar(float area) const { return share_ * area; }
  Floats bar_of_one(float area) const { return spread(share_ * area - slack_); }

  // The lanes in which the two overlap more than the threshold.
  uint32_t above(const BoxLanes& one, Floats bar_of_one, const BoxLanes& others,
                 Floats bars) const {
    const Floats inter = overlap(one, others);
    const uint32_t near = greater(inter, bar_of_one + bars);
    if (__builtin_expect(near == 0, 1)) return 0;
    return near & greater(iou(one, others, inter), spread(iou_));
  }

  static Floats iou(const BoxLanes& one, const BoxLanes& others, Floats inter) {
    return inter / (one.area + others.area - inter);
  }

 private:
  float iou_, share_, slack_;
};

}  // namespace DETKIT_ISA
}  // namespace detkit
