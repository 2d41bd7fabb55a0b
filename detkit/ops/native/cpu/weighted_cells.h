// Cells that are weighted sums of pixels: the mean of bilinear samples, their integral, the mean of
// whole pixels.
//
// The two axes are summed one after the other. For each column q of cells, the sums along x of all
// rows that are needed are computed and stay in L1; each cell then sums its own rows of them.
// Neighbouring cells share rows, so this takes fewer multiplications, at any size, than P x P cells
// one by one.
#pragma once

#include "pool_blocks.h"
#include "taps.h"

namespace detkit {
namespace DETKIT_ISA {

// Calls use(constant) with the number of taps if it is a common one, so that the compiler can
// unroll, and with 0 for any other number.
template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

template <class Use>
inline void with_taps(int taps, const Use& use) {
  switch (taps) {
    case 1:
      return use(Constant<1>());
    case 2:
      return use(Constant<2>());
    case 3:
      return use(Constant<3>());
    case 4:
      return use(Constant<4>());
    case 5:
      return use(Constant<5>());
    case 6:
      return use(Constant<6>());
    default:
      return use(Constant<0>());
  }
}

// column[i] = sum over taps of row line[i] of the map.
template <int kTaps>
inline void sum_along_x(const BlockedMap& map, const TapAxis& y, const int* __restrict pixel,
                        const float* __restrict weight, int any, float* __restrict column) {
  const int taps = kTaps ? kTaps : any;
  for (int i = 0; i < y.lines; ++i) {
    const float* row = map.row(y.line[i]);
    Block sum = load(row + static_cast<size_t>(pixel[0]) * kBlock) * weight[0];
    for (int t = 1; t < taps; ++t) {
      add_scaled(sum, load(row + static_cast<size_t>(pixel[t]) * kBlock), weight[t]);
    }
    store(column + static_cast<size_t>(i) * kBlock, sum);
  }
}

// The sum of one cell's lines of a column.
template <int kTaps>
inline Block sum_along_y(const float* __restrict column, const int* __restrict rank,
                         const float* __restrict weight, int any) {
  const int taps = kTaps ? kTaps : any;
  Block sum = load(column + static_cast<size_t>(rank[0]) * kBlock) * weight[0];
  for (int t = 1; t < taps; ++t) {
    add_scaled(sum, load(column + static_cast<size_t>(rank[t]) * kBlock), weight[t]);
  }
  return sum;
}

inline void weighted_cells(const Patch& patch, const TapAxis& y, const TapAxis& x, int size) {
  if (y.last - y.first < size || x.last - x.first < size) {
    memset(patch.cells, 0, static_cast<size_t>(size) * size * sizeof(Block));
  }
  for (int q = x.first; q < x.last; ++q) {
    with_taps(x.taps, [&](auto taps) {
      sum_along_x<taps.value>(patch.features, y, x.pixel + q * x.taps, x.weight + q * x.taps,
                              x.taps, patch.column);
    });
    with_taps(y.taps, [&](auto taps) {
      for (int p = y.first; p < y.last; ++p) {
        store(patch.cells + static_cast<size_t>(p * size + q) * kBlock,
              sum_along_y<taps.value>(patch.column, y.rank + p * y.taps, y.weight + p * y.taps,
                                      y.taps));
      }
    });
  }
}

// The transposed sums: from the gradient of a column of cells to its lines,
template <int kTaps>
inline void spread_along_y(const Block& gradient, const int* __restrict rank,
                           const float* __restrict weight, int any, float* __restrict column) {
  const int taps = kTaps ? kTaps : any;
  for (int t = 0; t < taps; ++t) {
    accumulate(column + static_cast<size_t>(rank[t]) * kBlock, gradient, weight[t]);
  }
}

// and from these to the map.
template <int kTaps>
inline void spread_along_x(const float* __restrict column, const TapAxis& y,
                           const int* __restrict pixel, const float* __restrict weight, int any,
                           const BlockedMap& map) {
  const int taps = kTaps ? kTaps : any;
  for (int i = 0; i < y.lines; ++i) {
    float* row = map.row(y.line[i]);
    const Block gradient = load(column + static_cast<size_t>(i) * kBlock);
    for (int t = 0; t < taps; ++t) {
      accumulate(row + static_cast<size_t>(pixel[t]) * kBlock, gradient, weight[t]);
    }
  }
}

inline void spread_weighted_cells(const Patch& patch, const TapAxis& y, const TapAxis& x,
                                  int size) {
  for (int q = x.first; q < x.last; ++q) {
    memset(patch.column, 0, y.lines * sizeof(Block));
    with_taps(y.taps, [&](auto taps) {
      for (int p = y.first; p < y.last; ++p) {
        spread_along_y<taps.value>(load(patch.cells + static_cast<size_t>(p * size + q) * kBlock),
                                   y.rank + p * y.taps, y.weight + p * y.taps, y.taps,
                                   patch.column);
      }
    });
    with_taps(x.taps, [&](auto taps) {
      spread_along_x<taps.value>(patch.column, y, x.pixel + q * x.taps, x.weight + q * x.taps,
                                 x.taps, patch.gradients);
    });
  }
}

}  // namespace DETKIT_ISA
}  // namespace detkit
