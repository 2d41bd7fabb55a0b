// Pixels of maps that a 1x1 convolution reads or writes: all of them, or every second one of every
// second row.
#pragma once

#include "interleave.h"
#include "simd.h"

namespace detkit {
namespace DETKIT_ISA {

// Where the pixels of a map lie.
struct Layout {
  int stride;         // from a pixel to the next one of its row
  size_t row, plane;  // floats from a row of pixels, or a map, to the next

  size_t at(int y, int x) const { return y * row + static_cast<size_t>(x) * stride; }
};

// Neighbouring pixels of one row of one image.
struct Run {
  int image;
  int y, x;
  int start;  // the number of the first among the pixels that are asked for
  int count;
};

// The pixels of all images, numbered along rows, then columns, then images.
struct PixelGrid {
  PixelGrid(int images, int height, int width, int stride)
      : images(images),
        rows(stride == 1 ? 1 : (height + 1) / 2),
        columns(stride == 1 ? height * width : (width + 1) / 2),
        count(int64_t{images} * rows * columns),
        whole{stride, static_cast<size_t>(width) * stride, static_cast<size_t>(height) * width},
        dense{1, static_cast<size_t>(columns), static_cast<size_t>(columns) * rows} {}

  // Writes the runs of the pixels from `first` on, of which none crosses a multiple of `block`.
  // There are at most as many as pixels. Returns their number.
  int runs(int64_t first, int pixels, int block, Run* to) const {
    int found = 0;
    for (int start = 0; start < pixels; start += to[found++].count) {
      const int64_t row = (first + start) / columns;
      const int x = static_cast<int>((first + start) % columns);
      int count = pixels - start;
      if (block - start % block < count) count = block - start % block;
      if (columns - x < count) count = columns - x;
      to[found] = {static_cast<int>(row / rows), static_cast<int>(row % rows), x, start, count};
    }
    return found;
  }

  const int images, rows, columns;
  const int64_t count;
  const Layout whole, dense;  // of the larger maps, of which a stride skips pixels; of the others
};

// Up to kLanes pixels, fewer if `count` is lower.
inline Floats load_pixels(const float* from, int stride, int count) {
  if (stride == 1) return load_up_to(from, count);
  const int floats = 2 * (count < kLanes ? count : kLanes) - 1;
  Floats even, odd;
  split_pairs(load_up_to(from, floats), load_up_to(from + kLanes, floats - kLanes), even, odd);
  return even;
}

// The same for storing. The pixels between them become zeros.
inline void store_pixels(float* to, Floats pixels, int stride, int count, bool past_cache = false) {
  if (stride == 1) {
    if (past_cache) return store_past_cache(to, pixels, count);
    return store_up_to(to, pixels, count);
  }
  const int floats = 2 * (count < kLanes ? count : kLanes) - 1;
  Floats low, high;
  join_pairs(pixels, Floats{}, low, high);
  store_up_to(to, low, floats);
  store_up_to(to + kLanes, high, floats - kLanes);
}

}  // namespace DETKIT_ISA
}  // namespace detkit
