// The pixels and weights that make the cells of an RoI, axis by axis.
//
// Bilinear samples, their mean, the integral of the bilinear surface and the mean of whole pixels
// are all separable: cell (p, q) is the sum over rows i and columns j of wy[p, i] * wx[q, j] *
// pixel[i, j]. A tap is a pixel with its weight. The weights of all samples of a cell that fall on
// one pixel are merged here, once per RoI and for all of its channels: the cost of a large RoI with
// many samples is that of the pixels it covers.
#pragma once

#include "pool_tasks.h"
#include "rois.h"

namespace detkit {
namespace DETKIT_ISA {

// One axis of one RoI. The cells first..last-1 have taps, all of them equally many, so that no
// branch of the inner loops depends on the cell. If a cell needs fewer, its list ends with
// fractions of its last tap. This changes no sum; a tap of weight 0 would, if the pixel is infinite
// or NaN.
struct TapAxis {
  int first, last;  // cells
  int taps;         // per cell
  int lines;        // the number of distinct pixels of all cells
  int* line;        // (lines), ascending
  int* pixel;       // (P, taps)
  int* rank;        // (P, taps), the index in `line` of each pixel
  float* weight;    // (P, taps); further sets of weights follow at a fixed distance
};

// Collects the taps of one cell, which come in ascending order except for the last two pixels.
template <int kSets>
struct TapList {
  int* pixel;
  float* weight;
  size_t set_stride;
  int count;

  // The weights of a pixel, for the caller to add to.
  float* at(int i) {
    for (int k = count - 1; k >= 0 && k >= count - 2; --k) {
      if (pixel[k] == i) return weight + k;
    }
    pixel[count] = i;
    for (int s = 0; s < kSets; ++s) weight[s * set_stride + count] = 0.0f;
    return weight + count++;
  }
};

// The largest number of pixels, of `length`, that have a weight in a cell of `side` pixels:
// bilinear weights reach one pixel further on both sides, and rounding may add one.
inline int most_taps(float side, int length) {
  return side < static_cast<float>(length) && static_cast<int>(side) + 4 < length
             ? static_cast<int>(side) + 4
             : length;
}

// The axes of all RoIs. rule(roi, axis), with axis 0 for y, returns an object with most_taps() of
// one cell and add_taps(cell, list).
template <int kSets = 1>
class TapAxes {
 public:
  template <class Rule>
  TapAxes(const SortedRoIs& rois, const Rule& rule)
      : size_(rois.geometry().size),
        count_(2 * static_cast<size_t>(rois.geometry().rois)),
        axes_(count_),
        offset_(count_ + 1),
        total_(reserve(rois, rule)),
        line_(total_),
        pixel_(total_),
        rank_(total_),
        weight_(total_ * kSets) {
#pragma omp parallel for schedule(static) if (count_ * size_ > 10000)
    for (size_t a = 0; a < count_; ++a) {
      const int roi = static_cast<int>(a / 2);
      axes_[a] = {};
      if (!rois.on_a_map(roi)) continue;
      fill(a, rule(roi, static_cast<int>(a % 2)));
    }
  }

  const TapAxis& y(int roi) const { return axes_[2 * static_cast<size_t>(roi)]; }
  const TapAxis& x(int roi) const { return axes_[2 * static_cast<size_t>(roi) + 1]; }
  size_t set_stride() const { return total_; }

  Window window(int roi) const {
    const TapAxis &rows = y(roi), &columns = x(roi);
    if (rows.lines == 0 || columns.lines == 0) return {};
    return {rows.line[0], rows.line[rows.lines - 1] + 1, columns.line[0],
            columns.line[columns.lines - 1] + 1};
  }

 private:
  template <class Rule>
  size_t reserve(const SortedRoIs& rois, const Rule& rule) {
    offset_[0] = 0;
    for (size_t a = 0; a < count_; ++a) {
      const int roi = static_cast<int>(a / 2);
      const int most = rois.on_a_map(roi) ? rule(roi, static_cast<int>(a % 2)).most_taps() : 0;
      offset_[a + 1] = offset_[a] + static_cast<size_t>(most) * size_;
    }
    return offset_[count_];
  }

  template <class AxisRule>
  void fill(size_t a, const AxisRule& rule) {
    const size_t at = offset_[a], most = (offset_[a + 1] - at) / size_;
    TapAxis& axis = axes_[a];
    axis.line = line_.get() + at;
    axis.pixel = pixel_.get() + at;
    axis.rank = rank_.get() + at;
    axis.weight = weight_.get() + at;
    axis.first = size_;
    for (int cell = 0; cell < size_; ++cell) {
      TapList<kSets> list = {axis.pixel + cell * most, axis.weight + cell * most, total_, 0};
      rule.add_taps(cell, list);
      axis.rank[cell * most] = list.count;  // is held here until the ranks are known
      if (list.count == 0) continue;
      if (axis.first == size_) axis.first = cell;
      axis.last = cell + 1;
      if (list.count > axis.taps) axis.taps = list.count;
    }
    even_out(axis, most);
    find_lines(axis);
  }

  // Turns lists of different lengths, `most` apart, into lists of axis.taps.
  void even_out(TapAxis& axis, size_t most) const {
    for (int cell = axis.first; cell < axis.last; ++cell) {
      const int count = axis.rank[cell * most];
      const size_t from = cell * most, to = static_cast<size_t>(cell) * axis.taps;
      for (int t = 0; t < axis.taps; ++t) {
        axis.pixel[to + t] = t < count ? axis.pixel[from + t] : axis.pixel[to + t - 1];
      }
      for (int s = 0; s < kSets; ++s) {
        float* weight = axis.weight + s * total_;
        for (int t = 0; t < axis.taps; ++t) {
          weight[to + t] = t < count ? weight[from + t] : weight[to + t - 1] *= 0.5f;
        }
      }
    }
  }

  void find_lines(TapAxis& axis) const {
    for (int t = axis.first * axis.taps; t < axis.last * axis.taps; ++t) {
      int k = axis.lines;
      while (k > 0 && axis.line[k - 1] > axis.pixel[t]) --k;
      if (k == 0 || axis.line[k - 1] != axis.pixel[t]) {
        k = ++axis.lines;
        axis.line[k - 1] = axis.pixel[t];
      }
      axis.rank[t] = k - 1;
    }
  }

  const int size_;
  const size_t count_;  // of axes
  Scratch<TapAxis> axes_;
  Scratch<size_t> offset_;
  const size_t total_;  // taps
  Scratch<int> line_, pixel_, rank_;
  Scratch<float> weight_;
};

}  // namespace DETKIT_ISA
}  // namespace detkit
