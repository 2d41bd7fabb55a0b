// Feature maps in blocks of 16 channels: (C, pixels) as planes <-> (pixels, 16) as blocks.
//
// A bilinear weight belongs to a pixel, whatever the channel. The 16 channels of a pixel lie side
// by side in one cache line and one vector (AVX-512; two of AVX2, four of SSE or NEON), so that
// each weight is used for 16 values that are read together. Planes would need a gather.
#pragma once

#include <string.h>

#include "simd.h"

namespace detkit {
namespace DETKIT_ISA {

constexpr int kBlock = 16;  // channels

constexpr int kParts = kBlock / kLanes;

// One value of each of 16 channels.
struct Block {
  Floats part[kParts];
};

// Pixels and cells in blocks are aligned to a Block.
inline Block load(const float* from) {
  Block block;
  for (int i = 0; i < kParts; ++i) block.part[i] = reinterpret_cast<const Floats*>(from)[i];
  return block;
}

inline void store(float* to, const Block& block) {
  for (int i = 0; i < kParts; ++i) reinterpret_cast<Floats*>(to)[i] = block.part[i];
}

inline Block zero_block() {
  Block block;
  for (int i = 0; i < kParts; ++i) block.part[i] = Floats{};
  return block;
}

inline Block operator*(const Block& block, float factor) {
  Block product;
  for (int i = 0; i < kParts; ++i) product.part[i] = block.part[i] * factor;
  return product;
}

inline void add_scaled(Block& sum, const Block& block, float factor) {
  for (int i = 0; i < kParts; ++i) sum.part[i] += block.part[i] * factor;
}

inline void add_product(Block& sum, const Block& a, const Block& b) {
  for (int i = 0; i < kParts; ++i) sum.part[i] += a.part[i] * b.part[i];
}

// to += block * factor
inline void accumulate(float* to, const Block& block, float factor) {
  Block sum = load(to);
  add_scaled(sum, block, factor);
  store(to, sum);
}

// ---------------------------------------------------------------------- planes <-> blocks

typedef float Quad __attribute__((vector_size(16)));

#ifdef __clang__
#define DETKIT_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t QuadIndex __attribute__((vector_size(16)));
#define DETKIT_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, QuadIndex{__VA_ARGS__})
#endif

inline void transpose(Quad (&q)[4]) {
  const Quad ab_low = DETKIT_SHUFFLE(q[0], q[1], 0, 4, 1, 5);
  const Quad ab_high = DETKIT_SHUFFLE(q[0], q[1], 2, 6, 3, 7);
  const Quad cd_low = DETKIT_SHUFFLE(q[2], q[3], 0, 4, 1, 5);
  const Quad cd_high = DETKIT_SHUFFLE(q[2], q[3], 2, 6, 3, 7);
  q[0] = DETKIT_SHUFFLE(ab_low, cd_low, 0, 1, 4, 5);
  q[1] = DETKIT_SHUFFLE(ab_low, cd_low, 2, 3, 6, 7);
  q[2] = DETKIT_SHUFFLE(ab_high, cd_high, 0, 1, 4, 5);
  q[3] = DETKIT_SHUFFLE(ab_high, cd_high, 2, 3, 6, 7);
}

// Four pixels of 16 channels. kAll: the planes hold all 16; otherwise the last plane is read in the
// place of those that are missing.
template <bool kAll>
inline void quads_to_blocks(const float* planes, size_t plane, int channels, float* blocks) {
  for (int c = 0; c < kBlock; c += 4) {
    Quad quads[4];
    for (int i = 0; i < 4; ++i) {
      const int from = kAll || c + i < channels ? c + i : channels - 1;
      memcpy(&quads[i], planes + from * plane, sizeof(Quad));
    }
    transpose(quads);
    for (int i = 0; i < 4; ++i) memcpy(blocks + i * kBlock + c, &quads[i], sizeof(Quad));
  }
}

template <bool kAll>
inline void quads_to_planes(const float* blocks, float* planes, size_t plane, int channels) {
  for (int c = 0; c < kBlock; c += 4) {
    Quad quads[4];
    for (int i = 0; i < 4; ++i) memcpy(&quads[i], blocks + i * kBlock + c, sizeof(Quad));
    transpose(quads);
    for (int i = 0; i < 4; ++i) {
      if (kAll || c + i < channels) memcpy(planes + (c + i) * plane, &quads[i], sizeof(Quad));
    }
  }
}

// Where a quad of pixels starts that holds pixel i: at i, or at the last four of `count` pixels if
// fewer than four follow.
inline int quad_at(int i, int count) { return i + 4 <= count ? i : count - 4; }

// (channels, count), `plane` floats from one channel to the next -> (count, 16). At most 16
// channels are read; if there are fewer, the last one fills the block.
inline void planes_to_blocks(const float* planes, size_t plane, int channels, int count,
                             float* blocks) {
  if (count < 4) {
    for (int i = 0; i < count; ++i) {
      for (int c = 0; c < kBlock; ++c) {
        const int from = c < channels ? c : channels - 1;
        blocks[i * kBlock + c] = planes[from * plane + i];
      }
    }
    return;
  }
  for (int i = 0; i < count; i += 4) {
    const int at = quad_at(i, count);
    float* to = blocks + static_cast<size_t>(at) * kBlock;
    if (channels >= kBlock) {
      quads_to_blocks<true>(planes + at, plane, channels, to);
    } else {
      quads_to_blocks<false>(planes + at, plane, channels, to);
    }
  }
}

// The opposite of planes_to_blocks. At most 16 channels are written.
inline void blocks_to_planes(const float* blocks, int count, float* planes, size_t plane,
                             int channels) {
  if (count < 4) {
    for (int c = 0; c < kBlock && c < channels; ++c) {
      for (int i = 0; i < count; ++i) planes[c * plane + i] = blocks[i * kBlock + c];
    }
    return;
  }
  for (int i = 0; i < count; i += 4) {
    const int at = quad_at(i, count);
    const float* from = blocks + static_cast<size_t>(at) * kBlock;
    if (channels >= kBlock) {
      quads_to_planes<true>(from, planes + at, plane, channels);
    } else {
      quads_to_planes<false>(from, planes + at, plane, channels);
    }
  }
}

}  // namespace DETKIT_ISA
}  // namespace detkit
