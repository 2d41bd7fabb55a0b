// The maximum of each 2 x 2 cells.
#include "../checks.h"
#include "interleave.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

// The cells of two rows, kLanes cells from x on; of the last ones, those that exist.
struct Cells {
  Cells(const float* upper, const float* lower, int x, int count) {
    read(upper + 2 * x, count, left[0], right[0]);
    read(lower + 2 * x, count, left[1], right[1]);
    for (int i = 0; i < 2; ++i) {
      is_right[i] = is_larger(right[i], left[i]);
      row[i] = is_right[i] ? right[i] : left[i];
    }
    is_lower = is_larger(row[1], row[0]);
  }

  static void read(const float* from, int count, Floats& even, Floats& odd) {
    split_pairs(load_up_to(from, 2 * count), load_up_to(from + kLanes, 2 * count - kLanes), even,
                odd);
  }

  Floats left[2], right[2], row[2];
  Ints is_right[2], is_lower;
};

void pool_row(const float* upper, const float* lower, int width, float* out) {
  for (int x = 0; x < width; x += kLanes) {
    const Cells cells(upper, lower, x, width - x);
    store_up_to(out + x, cells.is_lower ? cells.row[1] : cells.row[0], width - x);
  }
}

// The gradient goes to the first of equal cells.
void spread_row(const float* upper, const float* lower, const float* gradient, int width,
                float* grad_upper, float* grad_lower) {
  float* const rows[2] = {grad_upper, grad_lower};
  for (int x = 0; x < width; x += kLanes) {
    const Cells cells(upper, lower, x, width - x);
    const Floats all = load_up_to(gradient + x, width - x), zero = {};
    const Floats of_row[2] = {cells.is_lower ? zero : all, cells.is_lower ? all : zero};
    for (int i = 0; i < 2; ++i) {
      const Floats left = cells.is_right[i] ? zero : of_row[i];
      const Floats right = cells.is_right[i] ? of_row[i] : zero;
      Floats a, b;
      join_pairs(left, right, a, b);
      store_up_to(rows[i] + 2 * x, a, 2 * (width - x));
      store_up_to(rows[i] + 2 * x + kLanes, b, 2 * (width - x) - kLanes);
    }
  }
}

}  // namespace

int max_pool(int64_t planes, int height, int width, const float* data, float* out) {
  if (!is_valid_pool(planes, height, width)) return DETKIT_BAD_ARGUMENT;
  const int rows = height / 2, columns = width / 2;
  const size_t size = static_cast<size_t>(height) * width;
#pragma omp parallel for num_threads(threads_for(planes, 0.3 * size)) schedule(static)
  for (int64_t plane = 0; plane < planes; ++plane) {
    const float* from = data + plane * size;
    float* to = out + static_cast<size_t>(plane) * rows * columns;
    for (int y = 0; y < rows; ++y, from += 2 * static_cast<size_t>(width), to += columns) {
      pool_row(from, from + width, columns, to);
    }
  }
  return DETKIT_OK;
}

int max_pool_backward(int64_t planes, int height, int width, const float* data,
                      const float* grad_out, float* grad_data) {
  if (!is_valid_pool(planes, height, width)) return DETKIT_BAD_ARGUMENT;
  const int rows = height / 2, columns = width / 2;
  const size_t size = static_cast<size_t>(height) * width, row = static_cast<size_t>(width);
#pragma omp parallel for num_threads(threads_for(planes, 0.5 * size)) schedule(static)
  for (int64_t plane = 0; plane < planes; ++plane) {
    const float* from = data + plane * size;
    const float* gradient = grad_out + static_cast<size_t>(plane) * rows * columns;
    float* to = grad_data + plane * size;
    for (int y = 0; y < rows; ++y, from += 2 * row, to += 2 * row, gradient += columns) {
      spread_row(from, from + row, gradient, columns, to, to + row);
      if (width % 2) to[row - 1] = to[2 * row - 1] = 0.0f;
    }
    if (height % 2) memset(to, 0, row * sizeof(float));
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(max_pool, (int64_t planes, int height, int width, const float* data, float* out),
              (planes, height, width, data, out))
DETKIT_KERNEL(max_pool_backward,
              (int64_t planes, int height, int width, const float* data, const float* grad_out,
               float* grad_data),
              (planes, height, width, data, grad_out, grad_data))
