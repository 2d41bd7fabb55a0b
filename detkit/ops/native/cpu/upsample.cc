// Each cell of a map in two rows and two columns.
#include "../checks.h"
#include "interleave.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

void repeat_row(const float* from, int columns, float* to) {
  for (int x = 0; x < columns; x += 2 * kLanes) {
    const Floats cells = load_up_to(from + x / 2, (columns - x + 1) / 2);
    Floats a, b;
    join_pairs(cells, cells, a, b);
    store_up_to(to + x, a, columns - x);
    store_up_to(to + x + kLanes, b, columns - x - kLanes);
  }
}

// The sums of pairs of neighbours of kLanes cells from `cell` on.
Floats sums_of_pairs(const float* row, int cell, int columns) {
  const int left = columns - 2 * cell;
  const float* from = row + 2 * cell;
  Floats even, odd;
  split_pairs(load_up_to(from, left), load_up_to(from + kLanes, left - kLanes), even, odd);
  return even + odd;
}

}  // namespace

int upsample(int64_t planes, int height, int width, int rows, int columns, const float* data,
             float* out) {
  if (!is_valid_upsample(planes, height, width, rows, columns)) return DETKIT_BAD_ARGUMENT;
  const size_t size = static_cast<size_t>(height) * width, row = static_cast<size_t>(columns);
#pragma omp parallel for num_threads(threads_for(planes, 0.3 * size)) schedule(static)
  for (int64_t plane = 0; plane < planes; ++plane) {
    const float* from = data + plane * size;
    float* to = out + static_cast<size_t>(plane) * rows * row;
    for (int y = 0; y < rows; y += 2, from += width, to += 2 * row) {
      repeat_row(from, columns, to);
      if (y + 1 < rows) memcpy(to + row, to, row * sizeof(float));
    }
  }
  return DETKIT_OK;
}

int upsample_backward(int64_t planes, int height, int width, int rows, int columns,
                      const float* grad_out, float* grad_data) {
  if (!is_valid_upsample(planes, height, width, rows, columns)) return DETKIT_BAD_ARGUMENT;
  const size_t size = static_cast<size_t>(height) * width, row = static_cast<size_t>(columns);
#pragma omp parallel for num_threads(threads_for(planes, 0.3 * size)) schedule(static)
  for (int64_t plane = 0; plane < planes; ++plane) {
    const float* from = grad_out + static_cast<size_t>(plane) * rows * row;
    float* to = grad_data + plane * size;
    for (int y = 0; y < 2 * height; y += 2, from += 2 * row, to += width) {
      for (int x = 0; x < width; x += kLanes) {
        Floats sum = {};
        if (y < rows) sum += sums_of_pairs(from, x, columns);
        if (y + 1 < rows) sum += sums_of_pairs(from + row, x, columns);
        store_up_to(to + x, sum, width - x);
      }
    }
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(upsample,
              (int64_t planes, int height, int width, int rows, int columns, const float* data,
               float* out),
              (planes, height, width, rows, columns, data, out))
DETKIT_KERNEL(upsample_backward,
              (int64_t planes, int height, int width, int rows, int columns, const float* grad_out,
               float* grad_data),
              (planes, height, width, rows, columns, grad_out, grad_data))
