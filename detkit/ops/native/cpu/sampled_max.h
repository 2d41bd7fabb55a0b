// Cells that are the maximum of bilinear samples. The number of the largest sample is not stored:
// the backward pass takes the samples again, from the same features, and finds the same one.
#pragma once

#include "maximum.h"
#include "pool_blocks.h"

namespace detkit {
namespace DETKIT_ISA {

// A bilinear sample along one axis. A sample of a single pixel names the pixel twice, with half of
// the weight each, because a weight of 0 times an infinite pixel would be NaN.
struct Sample {
  int low, high;  // pixels; -1: the sample lies outside of the map, where everything is 0
  float low_weight, high_weight;

  bool outside() const { return low < 0; }
};

inline Sample outside_of_map() { return {-1, -1, 0.0f, 0.0f}; }
inline Sample single_pixel(int i, float weight) { return {i, i, 0.5f * weight, 0.5f * weight}; }
inline Sample between_pixels(int low, float beyond) {
  return {low, low + 1, 1.0f - beyond, beyond};
}

// The samples of all RoIs, along both axes. rule(roi, axis), with axis 0 for y, returns an object
// with .samples, the number of samples of a cell, and sample_at(cell, i).
class RoISamples {
 public:
  template <class Rule>
  RoISamples(const SortedRoIs& rois, const Rule& rule)
      : size_(rois.geometry().size),
        axes_(2 * static_cast<size_t>(rois.geometry().rois)),
        start_(axes_ * size_ + 1),
        samples_(count(rois, rule)) {
#pragma omp parallel for schedule(static) if (axes_ * size_ > 10000)
    for (size_t a = 0; a < axes_; ++a) {
      if (!rois.on_a_map(static_cast<int>(a / 2))) continue;
      Sample* next = samples_.get() + start_[a * size_];
      for_each(rule(static_cast<int>(a / 2), static_cast<int>(a % 2)),
               [&](int, const Sample& sample) { *next++ = sample; });
    }
  }

  const Sample* begin(int roi, int axis, int cell) const {
    return samples_.get() + start_[cell_index(roi, axis, cell)];
  }
  const Sample* end(int roi, int axis, int cell) const {
    return samples_.get() + start_[cell_index(roi, axis, cell) + 1];
  }

  Window window(int roi) const {
    Window window = {};
    find_range(roi, 0, &window.top, &window.bottom);
    find_range(roi, 1, &window.left, &window.right);
    return window;
  }

 private:
  size_t cell_index(int roi, int axis, int cell) const {
    return (2 * static_cast<size_t>(roi) + axis) * size_ + cell;
  }

  // Calls use(cell, sample). Samples outside of the map are all 0, so that only the first of
  // several neighbouring ones is used.
  template <class AxisRule, class Use>
  void for_each(const AxisRule& rule, const Use& use) const {
    for (int cell = 0; cell < size_; ++cell) {
      bool outside = false;
      for (int i = 0; i < rule.samples; ++i) {
        const Sample sample = rule.sample_at(cell, i);
        if (!(outside && sample.outside())) use(cell, sample);
        outside = sample.outside();
      }
    }
  }

  template <class Rule>
  size_t count(const SortedRoIs& rois, const Rule& rule) {
    memset(start_.get(), 0, (axes_ * size_ + 1) * sizeof(size_t));
    for (size_t a = 0; a < axes_; ++a) {
      if (!rois.on_a_map(static_cast<int>(a / 2))) continue;
      for_each(rule(static_cast<int>(a / 2), static_cast<int>(a % 2)),
               [&](int cell, const Sample&) { ++start_[a * size_ + cell + 1]; });
    }
    for (size_t i = 0; i < axes_ * size_; ++i) start_[i + 1] += start_[i];
    return start_[axes_ * size_];
  }

  void find_range(int roi, int axis, int* first, int* last) const {
    *first = INT_MAX;
    for (const Sample* s = begin(roi, axis, 0); s != end(roi, axis, size_ - 1); ++s) {
      if (s->outside()) continue;
      if (s->low < *first) *first = s->low;
      if (s->high >= *last) *last = s->high + 1;
    }
  }

  const int size_;
  const size_t axes_;
  Scratch<size_t> start_;  // of each axis and cell
  const Scratch<Sample> samples_;
};

inline Block sample_pixels(const BlockedMap& map, const Sample& y, const Sample& x) {
  if (y.outside() || x.outside()) return zero_block();
  const size_t left = static_cast<size_t>(x.low) * kBlock;
  const size_t right = static_cast<size_t>(x.high) * kBlock;
  const float *top = map.row(y.low), *bottom = map.row(y.high);
  Block upper = load(top + left) * x.low_weight, lower = load(bottom + left) * x.low_weight;
  add_scaled(upper, load(top + right), x.high_weight);
  add_scaled(lower, load(bottom + right), x.high_weight);
  Block value = upper * y.low_weight;
  add_scaled(value, lower, y.high_weight);
  return value;
}

inline void spread_sample(const BlockedMap& map, const Sample& y, const Sample& x,
                          const Block& gradient) {
  if (y.outside() || x.outside()) return;
  const size_t left = static_cast<size_t>(x.low) * kBlock;
  const size_t right = static_cast<size_t>(x.high) * kBlock;
  float *top = map.row(y.low), *bottom = map.row(y.high);
  accumulate(top + left, gradient, y.low_weight * x.low_weight);
  accumulate(top + right, gradient, y.low_weight * x.high_weight);
  accumulate(bottom + left, gradient, y.high_weight * x.low_weight);
  accumulate(bottom + right, gradient, y.high_weight * x.high_weight);
}

inline void max_cells(const Patch& patch, const RoISamples& samples, int size) {
  const int roi = patch.roi;
  for (int p = 0; p < size; ++p) {
    for (int q = 0; q < size; ++q) {
      Block best = no_maximum();
      for (const Sample* y = samples.begin(roi, 0, p); y != samples.end(roi, 0, p); ++y) {
        for (const Sample* x = samples.begin(roi, 1, q); x != samples.end(roi, 1, q); ++x) {
          take_larger(best, sample_pixels(patch.features, *y, *x));
        }
      }
      store(patch.cells + static_cast<size_t>(p * size + q) * kBlock, best);
    }
  }
}

inline void spread_max_cells(const Patch& patch, const RoISamples& samples, int size) {
  const int roi = patch.roi;
  for (int p = 0; p < size; ++p) {
    for (int q = 0; q < size; ++q) {
      Winner winner = no_winner();
      int number = 0;
      for (const Sample* y = samples.begin(roi, 0, p); y != samples.end(roi, 0, p); ++y) {
        for (const Sample* x = samples.begin(roi, 1, q); x != samples.end(roi, 1, q); ++x) {
          take_larger(winner, sample_pixels(patch.features, *y, *x), number++);
        }
      }
      const Block gradient = load(patch.cells + static_cast<size_t>(p * size + q) * kBlock);
      number = 0;
      for (const Sample* y = samples.begin(roi, 0, p); y != samples.end(roi, 0, p); ++y) {
        for (const Sample* x = samples.begin(roi, 1, q); x != samples.end(roi, 1, q); ++x) {
          spread_sample(patch.gradients, *y, *x, where_winner(winner, number++, gradient));
        }
      }
    }
  }
}

}  // namespace DETKIT_ISA
}  // namespace detkit
