// Matrix products of a few rows and a few vectors, whose sums stay in registers.
#pragma once

#include "channel_blocks.h"
#include "factors.h"

namespace detkit {
namespace DETKIT_ISA {

// 24 sums with 32 registers, 12 with 16: enough for the latency of their additions.
constexpr int kRows = kLanes == 16 ? 8 : 4;
constexpr int kColumns = 3;  // vectors

// The weights are read once for each block of tiles, from far away: 8 KB ahead is soon enough.
constexpr int kPrefetch = 2048;

// sums (kRows, vectors) = weights x points (depth, vectors). weight(i, k) is that of a row. A row
// of points, and a row of sums, begins `stride` numbers after the one before.
template <int kVectors, class Weight>
inline void multiply_by(const Weight& weight, const Factor* points, int depth, size_t stride,
                        float* sums) {
  Floats sum[kRows][kVectors] = {};
  for (int k = 0; k < depth; ++k, points += stride) {
    Factors point[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) point[j] = load_factors(points + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const Factors factor = spread_factor(weight(i, k));
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) add_product(&sum[i][j], factor, point[j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) store_lanes(sums + i * stride + j * kLanes, sum[i][j]);
  }
}

// The same for weights (depth, kRows).
template <int kVectors>
inline void multiply(const Factor* weights, const Factor* points, int depth, size_t stride,
                     float* sums) {
  const auto weight = [weights](int i, int k) {
    const Factor* column = weights + static_cast<size_t>(k) * kRows;
    if (i == 0) __builtin_prefetch(column + kPrefetch);
    return column[i];
  };
  multiply_by<kVectors>(weight, points, depth, stride, sums);
}

// The same for rows of weights (kRows, depth), which need not follow each other.
template <int kVectors>
inline void multiply_rows(const Factor* const (&weights)[kRows], const Factor* points, int depth,
                          size_t stride, float* sums) {
  const auto weight = [&weights](int i, int k) { return weights[i][k]; };
  multiply_by<kVectors>(weight, points, depth, stride, sums);
}

// The tile of sums (rows, blocks of 16) that accumulate_by() keeps in registers.
constexpr int kSumRows = kLanes == 16 ? 8 : kLanes == 8 ? 4 : 2;
constexpr int kSumBlocks = kLanes == 16 ? 2 : 1;

// sums (kSumRows, blocks of 16) (+)= gradients x points (blocks, depth, 16). gradient(i, k) is that
// of a row. is_first: the sums are not read. What is added is summed apart: many small terms
// would be lost in a large sum.
template <int kBlocks, class Gradient>
inline void accumulate_by(const Gradient& gradient, const float* points, size_t points_stride,
                          int depth, bool is_first, float* sums, size_t sums_stride) {
  constexpr int kVectors = kBlocks * kParts;
  Floats sum[kSumRows][kVectors] = {};
  for (int k = 0; k < depth; ++k, points += kBlock) {
    Floats point[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      point[j] = load_lanes(points + (j / kParts) * points_stride + (j % kParts) * kLanes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kSumRows; ++i) {
      const Floats factor = spread(gradient(i, k));
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sum[i][j] += factor * point[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kSumRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      float* to = sums + i * sums_stride + j * kLanes;
      store_lanes(to, is_first ? sum[i][j] : load_lanes(to) + sum[i][j]);
    }
  }
}

// The same for gradients (depth, 16), of which the first kSumRows are taken.
template <int kBlocks>
inline void accumulate(const float* gradients, const float* points, size_t points_stride, int depth,
                       bool is_first, float* sums, size_t sums_stride) {
  const auto gradient = [gradients](int i, int k) {
    return gradients[static_cast<size_t>(k) * kBlock + i];
  };
  accumulate_by<kBlocks>(gradient, points, points_stride, depth, is_first, sums, sums_stride);
}

// The same for rows of gradients (kSumRows, depth), which need not follow each other.
template <int kBlocks>
inline void accumulate_rows(const float* const (&gradients)[kSumRows], const float* points,
                            size_t points_stride, int depth, bool is_first, float* sums,
                            size_t sums_stride) {
  const auto gradient = [&gradients](int i, int k) { return gradients[i][k]; };
  accumulate_by<kBlocks>(gradient, points, points_stride, depth, is_first, sums, sums_stride);
}

}  // namespace DETKIT_ISA
}  // namespace detkit
