// RoIPool (Girshick 2015, section 2.1): whole pixels of each cell, their maximum or their mean.
//
// The maximum is taken along x first, for every row, and then along y. Rounding makes cells
// overlap; they share that work. The mean is a weighted sum like any other.
#include "maximum.h"
#include "weighted_cells.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

// The cells of one axis of an RoI.
struct PoolAxis {
  int first;   // pixel of the RoI
  float bin;   // pixels of a cell
  int length;  // of the map

  PixelRange range(int cell) const {
    const int begin = first + static_cast<int>(floorf(static_cast<float>(cell) * bin));
    const int end = first + static_cast<int>(ceilf(static_cast<float>(cell + 1) * bin));
    return {clamp(begin), clamp(end)};
  }
  int clamp(int pixel) const { return pixel < 0 ? 0 : pixel < length ? pixel : length; }

  int most_taps() const { return DETKIT_ISA::most_taps(bin, length); }

  void add_taps(int cell, TapList<1>& list) const {
    const PixelRange pixels = range(cell);
    for (int i = pixels.begin; i < pixels.end; ++i) {
      *list.at(i) = 1.0f / static_cast<float>(pixels.count());
    }
  }
};

PoolAxis pool_axis(const SortedRoIs& rois, int roi, int axis) {
  const RoIAxis on_map = rois.axis(roi, axis);
  const int first = static_cast<int>(roundf(on_map.low * on_map.scale));
  const int last = static_cast<int>(roundf(on_map.high * on_map.scale));
  const float side = static_cast<float>(last - first + 1);
  return {first, side / static_cast<float>(rois.geometry().size), on_map.length};
}

// The ranges of all cells of all RoIs.
class PixelRanges {
 public:
  explicit PixelRanges(const SortedRoIs& rois)
      : size_(rois.geometry().size),
        ranges_(2 * static_cast<size_t>(rois.geometry().rois) * size_) {
    for (int r = 0; r < rois.geometry().rois; ++r) {
      for (int axis = 0; axis < 2 && rois.on_a_map(r); ++axis) {
        const PoolAxis rule = pool_axis(rois, r, axis);
        for (int cell = 0; cell < size_; ++cell) of(r, axis)[cell] = rule.range(cell);
      }
    }
  }

  const PixelRange* y(int roi) const { return of(roi, 0); }
  const PixelRange* x(int roi) const { return of(roi, 1); }

  Window window(int roi) const {
    return {y(roi)[0].begin, y(roi)[size_ - 1].end, x(roi)[0].begin, x(roi)[size_ - 1].end};
  }

 private:
  PixelRange* of(int roi, int axis) const {
    return ranges_.get() + (2 * static_cast<size_t>(roi) + axis) * size_;
  }

  const int size_;
  const Scratch<PixelRange> ranges_;
};

// Writes the maximum of the columns x, for each row of rows, to patch.column.
void max_along_x(const Patch& patch, const PixelRange& rows, const PixelRange& x) {
  for (int row = rows.begin; row < rows.end; ++row) {
    Block best = no_maximum();
    for (int i = x.begin; i < x.end; ++i) {
      take_larger(best, load(patch.features.row(row) + static_cast<size_t>(i) * kBlock));
    }
    store(patch.column + static_cast<size_t>(row - rows.begin) * kBlock, best);
  }
}

Block max_along_y(const Patch& patch, const PixelRange& rows, const PixelRange& y) {
  Block best = no_maximum();
  for (int row = y.begin; row < y.end; ++row) {
    take_larger(best, load(patch.column + static_cast<size_t>(row - rows.begin) * kBlock));
  }
  return best;
}

void max_pixels(const Patch& patch, const PixelRanges& ranges, int size) {
  const PixelRange *y = ranges.y(patch.roi), *x = ranges.x(patch.roi);
  const PixelRange rows = {y[0].begin, y[size - 1].end};
  for (int q = 0; q < size; ++q) {
    max_along_x(patch, rows, x[q]);
    for (int p = 0; p < size; ++p) {
      const bool empty = x[q].count() == 0 || y[p].count() == 0;
      store(patch.cells + static_cast<size_t>(p * size + q) * kBlock,
            empty ? zero_block() : max_along_y(patch, rows, y[p]));
    }
  }
}

// Adds the gradient to the first pixel, in row-major order, that equals the maximum. The search
// goes from the last pixel to the first, which overrides the others, and which is right if all are
// NaN.
void spread_to_first(const Patch& patch, const PixelRange& y, const PixelRange& x,
                     const Block& maximum, const float* gradient) {
  const int row_pixels = static_cast<int>(patch.features.stride / kBlock);
  Ints first[kParts];
  for (Ints& part : first) part = Ints{} + (y.begin * row_pixels + x.begin);
  for (int row = y.end - 1; row >= y.begin; --row) {
    for (int i = x.end - 1; i >= x.begin; --i) {
      const int pixel = row * row_pixels + i;
      const Block value = load(patch.features.row(row) + static_cast<size_t>(i) * kBlock);
      for (int part = 0; part < kParts; ++part) {
        first[part] = value.part[part] == maximum.part[part] ? Ints{} + pixel : first[part];
      }
    }
  }
  for (int c = 0; c < kBlock; ++c) {
    const size_t pixel = first[c / kLanes][c % kLanes];
    patch.gradients.pixels[pixel * kBlock + c] += gradient[c];
  }
}

void spread_to_largest(const Patch& patch, const PixelRanges& ranges, int size) {
  const PixelRange *y = ranges.y(patch.roi), *x = ranges.x(patch.roi);
  const PixelRange rows = {y[0].begin, y[size - 1].end};
  for (int q = 0; q < size; ++q) {
    max_along_x(patch, rows, x[q]);
    for (int p = 0; p < size; ++p) {
      if (x[q].count() == 0 || y[p].count() == 0) continue;
      spread_to_first(patch, y[p], x[q], max_along_y(patch, rows, y[p]),
                      patch.cells + static_cast<size_t>(p * size + q) * kBlock);
    }
  }
}

}  // namespace

int roi_pool(const DetkitRoIs* geometry, int mode, const float* const* features, const float* boxes,
             float* out) {
  if (!is_valid(*geometry, mode)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  if (mode == DETKIT_MAX) {
    const PixelRanges ranges(rois);
    return pool_forward(rois, ranges, features, out,
                        [&](const Patch& patch) { max_pixels(patch, ranges, geometry->size); });
  }
  const TapAxes<> axes(rois, [&](int roi, int axis) { return pool_axis(rois, roi, axis); });
  return pool_forward(rois, axes, features, out, [&](const Patch& patch) {
    weighted_cells(patch, axes.y(patch.roi), axes.x(patch.roi), geometry->size);
  });
}

int roi_pool_backward(const DetkitRoIs* geometry, int mode, const float* const* features,
                      const float* boxes, const float* grad_out, float* const* grad_features) {
  if (!is_valid(*geometry, mode)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  if (mode == DETKIT_MAX) {
    const PixelRanges ranges(rois);
    return pool_backward(rois, ranges, features, grad_out, grad_features, [&](const Patch& patch) {
      spread_to_largest(patch, ranges, geometry->size);
    });
  }
  const TapAxes<> axes(rois, [&](int roi, int axis) { return pool_axis(rois, roi, axis); });
  return pool_backward(rois, axes, nullptr, grad_out, grad_features, [&](const Patch& patch) {
    spread_weighted_cells(patch, axes.y(patch.roi), axes.x(patch.roi), geometry->size);
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
