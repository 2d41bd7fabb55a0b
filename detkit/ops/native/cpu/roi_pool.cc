// RoIPool (Girshick 2015, section 2.1): whole pixels of each cell, their maximum or their mean.
//
// The maximum is taken along x first, for every row, then along y: cells that overlap, as rounding
// makes them, share that work. The mean is a weighted sum like any other.
#include "maximum.h"
#include "weighted_cells.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

// Pixels begin..end-1.
struct Range {
  int begin, end;
  int count() const { return end > begin ? end - begin : 0; }
};

// The cells of one axis of an RoI.
struct PoolAxis {
  int first;   // pixel of the RoI
  float bin;   // pixels of a cell
  int length;  // of the map

  Range range(int cell) const {
    const int begin = first + static_cast<int>(floorf(static_cast<float>(cell) * bin));
    const int end = first + static_cast<int>(ceilf(static_cast<float>(cell + 1) * bin));
    return {clamp(begin), clamp(end)};
  }
  int clamp(int pixel) const { return pixel < 0 ? 0 : pixel < length ? pixel : length; }

  int most_taps() const { return DETKIT_ISA::most_taps(bin, length); }

  void add_taps(int cell, TapList<1>& list) const {
    const Range pixels = range(cell);
    for (int i = pixels.begin; i < pixels.end; ++i) {
      *list.at(i) = 1.f / static_cast<float>(pixels.count());
    }
  }
};

// Axis 0 is y.
PoolAxis pool_axis(const SortedRoIs& rois, int roi, int axis) {
  const DetkitRoIs& geometry = rois.geometry();
  const Box& box = rois.box(roi);
  const int level = rois.level_of_roi(roi);
  const float scale = geometry.scale[level];
  const int first = static_cast<int>(roundf((axis == 0 ? box.y1 : box.x1) * scale));
  const int last = static_cast<int>(roundf((axis == 0 ? box.y2 : box.x2) * scale));
  return {first, static_cast<float>(last - first + 1) / static_cast<float>(geometry.size),
          axis == 0 ? geometry.height[level] : geometry.width[level]};
}

// The ranges of all cells of all RoIs.
class Ranges {
 public:
  explicit Ranges(const SortedRoIs& rois)
      : size_(rois.geometry().size),
        ranges_(2 * static_cast<size_t>(rois.geometry().rois) * size_) {
    for (int r = 0; r < rois.geometry().rois; ++r) {
      for (int axis = 0; axis < 2 && rois.on_a_map(r); ++axis) {
        const PoolAxis rule = pool_axis(rois, r, axis);
        for (int cell = 0; cell < size_; ++cell) of(r, axis)[cell] = rule.range(cell);
      }
    }
  }

  const Range* y(int roi) const { return of(roi, 0); }
  const Range* x(int roi) const { return of(roi, 1); }

  Window window(int roi) const {
    return {y(roi)[0].begin, y(roi)[size_ - 1].end, x(roi)[0].begin, x(roi)[size_ - 1].end};
  }

 private:
  Range* of(int roi, int axis) const {
    return ranges_.get() + (2 * static_cast<size_t>(roi) + axis) * size_;
  }

  const int size_;
  const Scratch<Range> ranges_;
};

// The maximum of columns x of each row in rows, to place.column.
void max_along_x(const Place& place, const Range& rows, const Range& x) {
  for (int row = rows.begin; row < rows.end; ++row) {
    Block best = no_maximum();
    for (int i = x.begin; i < x.end; ++i) {
      take_larger(best, load(place.features.row(row) + static_cast<size_t>(i) * kBlock));
    }
    store(place.column + static_cast<size_t>(row - rows.begin) * kBlock, best);
  }
}

Block max_along_y(const Place& place, const Range& rows, const Range& y) {
  Block best = no_maximum();
  for (int row = y.begin; row < y.end; ++row) {
    take_larger(best, load(place.column + static_cast<size_t>(row - rows.begin) * kBlock));
  }
  return best;
}

void max_pixels(const Place& place, const Ranges& ranges, int size) {
  const Range *y = ranges.y(place.roi), *x = ranges.x(place.roi);
  const Range rows = {y[0].begin, y[size - 1].end};
  for (int q = 0; q < size; ++q) {
    max_along_x(place, rows, x[q]);
    for (int p = 0; p < size; ++p) {
      const bool empty = x[q].count() == 0 || y[p].count() == 0;
      store(place.cells + static_cast<size_t>(p * size + q) * kBlock,
            empty ? zero_block() : max_along_y(place, rows, y[p]));
    }
  }
}

// Adds the gradient to the first pixel, row by row, that equals the maximum. They are searched from
// the last one on: the first overrides the others, and is right where all are NaN.
void spread_to_first(const Place& place, const Range& y, const Range& x, const Block& maximum,
                     const float* gradient) {
  const int row_pixels = static_cast<int>(place.features.stride / kBlock);
  Mask first[kParts];
  for (Mask& part : first) part = Mask{} + (y.begin * row_pixels + x.begin);
  for (int row = y.end - 1; row >= y.begin; --row) {
    for (int i = x.end - 1; i >= x.begin; --i) {
      const int pixel = row * row_pixels + i;
      const Block value = load(place.features.row(row) + static_cast<size_t>(i) * kBlock);
      for (int part = 0; part < kParts; ++part) {
        first[part] = value.part[part] == maximum.part[part] ? Mask{} + pixel : first[part];
      }
    }
  }
  for (int c = 0; c < kBlock; ++c) {
    const size_t pixel = first[c / kWidth][c % kWidth];
    place.gradients.pixels[pixel * kBlock + c] += gradient[c];
  }
}

void spread_to_largest(const Place& place, const Ranges& ranges, int size) {
  const Range *y = ranges.y(place.roi), *x = ranges.x(place.roi);
  const Range rows = {y[0].begin, y[size - 1].end};
  for (int q = 0; q < size; ++q) {
    max_along_x(place, rows, x[q]);
    for (int p = 0; p < size; ++p) {
      if (x[q].count() == 0 || y[p].count() == 0) continue;
      spread_to_first(place, y[p], x[q], max_along_y(place, rows, y[p]),
                      place.cells + static_cast<size_t>(p * size + q) * kBlock);
    }
  }
}

bool is_mode(int mode) { return mode == DETKIT_AVERAGE || mode == DETKIT_MAX; }

}  // namespace

int roi_pool(const DetkitRoIs* geometry, int mode, const float* const* features, const float* boxes,
             float* out) {
  if (!accepted(*geometry) || !is_mode(mode)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  if (mode == DETKIT_MAX) {
    const Ranges ranges(rois);
    return pool_forward(rois, ranges, features, out,
                        [&](const Place& place) { max_pixels(place, ranges, geometry->size); });
  }
  const Axes<> axes(rois, [&](int roi, int axis) { return pool_axis(rois, roi, axis); });
  return pool_forward(rois, axes, features, out, [&](const Place& place) {
    weighted_cells(place, axes.y(place.roi), axes.x(place.roi), geometry->size);
  });
}

int roi_pool_backward(const DetkitRoIs* geometry, int mode, const float* const* features,
                      const float* boxes, const float* grad_out, float* const* grad_features) {
  if (!accepted(*geometry) || !is_mode(mode)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  if (mode == DETKIT_MAX) {
    const Ranges ranges(rois);
    return pool_backward(rois, ranges, features, grad_out, grad_features, [&](const Place& place) {
      spread_to_largest(place, ranges, geometry->size);
    });
  }
  const Axes<> axes(rois, [&](int roi, int axis) { return pool_axis(rois, roi, axis); });
  return pool_backward(rois, axes, nullptr, grad_out, grad_features, [&](const Place& place) {
    spread_weighted_cells(place, axes.y(place.roi), axes.x(place.roi), geometry->size);
  });
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(roi_pool,
              (const DetkitRoIs* geometry, int mode, const float* const* features,
               const float* rois, float* out),
              (geometry, mode, features, rois, out))
DETKIT_KERNEL(roi_pool_backward,
              (const DetkitRoIs* geometry, int mode, const float* const* features,
               const float* rois, const float* grad_out, float* const* grad_features),
              (geometry, mode, features, rois, grad_out, grad_features))
