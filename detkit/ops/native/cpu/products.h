// Matrix products of a few rows and a few vectors, whose sums stay in registers.
#pragma once

#include "channel_blocks.h"
#include "simd.h"

namespace detkit {
namespace DETKIT_ISA {

// 24 sums with 32 registers, 12 with 16: enough for the latency of their additions.
constexpr int kRows = kLanes == 16 ? 8 : 4;
constexpr int kColumns = 3;  // vectors

// The weights are read once for each block of tiles, from far away: 8 KB ahead is soon enough.
constexpr int kPrefetch = 2048;

// sums (kRows, vectors) = weights (depth, kRows) x points (depth, vectors). A row of points, and a
// row of sums, begins `stride` floats after the one before.
template <int kVectors>
inline void multiply(const float* weights, const float* points, int depth, size_t stride,
                     float* sums) {
  Floats sum[kRows][kVectors] = {};
  for (int k = 0; k < depth; ++k, weights += kRows, points += stride) {
    __builtin_prefetch(weights + kPrefetch);
    Floats point[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) point[j] = load_lanes(points + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const Floats weight = spread(weights[i]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sum[i][j] += weight * point[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) store_lanes(sums + i * stride + j * kLanes, sum[i][j]);
  }
}

// The tile of sums (rows, blocks of 16) that accumulate() keeps in registers.
constexpr int kSumRows = kLanes == 16 ? 8 : kLanes == 8 ? 4 : 2;
constexpr int kSumBlocks = kLanes == 16 ? 2 : 1;

// sums (kSumRows, blocks of 16) (+)= gradients (depth, 16) x points (blocks, depth, 16), of which
// the first kSumRows gradients are taken. is_first: the sums are not read. What is added is summed
// apart: many small terms would be lost in a large sum.
template <int kBlocks>
inline void accumulate(const float* gradients, const float* points, size_t points_stride, int depth,
                       bool is_first, float* sums, size_t sums_stride) {
  constexpr int kVectors = kBlocks * kParts;
  Floats sum[kSumRows][kVectors] = {};
  for (int k = 0; k < depth; ++k, gradients += kBlock, points += kBlock) {
    Floats point[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      point[j] = load_lanes(points + (j / kParts) * points_stride + (j % kParts) * kLanes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kSumRows; ++i) {
      const Floats gradient = spread(gradients[i]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sum[i][j] += gradient * point[j];
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

}  // namespace DETKIT_ISA
}  // namespace detkit
