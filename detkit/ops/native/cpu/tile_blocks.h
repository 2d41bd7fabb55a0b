// Tiles of maps, with a channel in each lane: squares of pixels to points.
#pragma once

#include "channel_blocks.h"
#include "tiles.h"

namespace detkit {
namespace DETKIT_ISA {

// Up to 16 channels of maps (B, C, H, W).
struct ChannelBlock {
  ChannelBlock(const float* maps, int channels, int first)
      : maps(maps),
        channels(channels),
        first(first),
        count(channels - first < kBlock ? channels - first : kBlock) {}

  const float* maps;
  int channels, first, count;

  const float* planes(const TileGrid& grid, int image) const {
    return maps + (static_cast<size_t>(image) * channels + first) * grid.plane();
  }
};

// The pixels [left, left + count) of row y to blocks; zeros outside of the map.
inline void row_to_blocks(const TileGrid& grid, const float* planes, int channels, int y, int left,
                          int count, float* blocks) {
  const bool inside = y >= 0 && y < grid.height;
  const int start = inside ? greatest(left, 0) : left + count;
  const int end = inside ? greatest(least(left + count, grid.width), start) : start;
  for (int x = left; x < start; ++x) store(blocks + (x - left) * kBlock, zero_block());
  if (start < end) {
    const float* from = planes + static_cast<size_t>(y) * grid.width + start;
    planes_to_blocks(from, grid.plane(), channels, end - start, blocks + (start - left) * kBlock);
  }
  for (int x = end; x < left + count; ++x) store(blocks + (x - left) * kBlock, zero_block());
}

// A square of kSide x kSide blocks, row by row `row` blocks apart, to points[product * stride].
template <int kSide, class Rule>
inline void square_to_points(const float* pixels, int row, const Rule& rule, float* points,
                             size_t stride) {
  for (int part = 0; part < kParts; ++part) {
    Floats half[kPoints][kSide];  // points along y, pixels along x
    for (int j = 0; j < kSide; ++j) {
      Floats column[kSide], v[kPoints];
      for (int i = 0; i < kSide; ++i) {
        column[i] = load_lanes(pixels + (i * row + j) * kBlock + part * kLanes);
      }
      rule(column, v);
      for (int i = 0; i < kPoints; ++i) half[i][j] = v[i];
    }
    for (int i = 0; i < kPoints; ++i) {
      Floats v[kPoints];
      rule(half[i], v);
      for (int j = 0; j < kPoints; ++j) {
        store_lanes(points + (i * kPoints + j) * stride + part * kLanes, v[j]);
      }
    }
  }
}

// The tiles of segments to points[product * stride + tile * 16 + channel]. kSide: the pixels of a
// tile along an axis, 4 of its outputs or 6 of its inputs. pixels: room for kSide rows of blocks.
template <int kSide, class Rule>
void block_to_points(const TileGrid& grid, const Segment* segments, int count,
                     const ChannelBlock& block, const Rule& rule, float* pixels, float* points,
                     size_t stride) {
  constexpr int kMargin = (kSide - kTile) / 2;
  for (const Segment* segment = segments; segment < segments + count; ++segment) {
    const int row = segment->count * kTile + 2 * kMargin;
    for (int i = 0; i < kSide; ++i) {
      row_to_blocks(grid, block.planes(grid, segment->image), block.count,
                    segment->y * kTile + i - kMargin, segment->x * kTile - kMargin, row,
                    pixels + static_cast<size_t>(i) * row * kBlock);
    }
    for (int tile = 0; tile < segment->count; ++tile) {
      square_to_points<kSide>(pixels + static_cast<size_t>(tile) * kTile * kBlock, row, rule,
                              points + static_cast<size_t>(segment->start + tile) * kBlock, stride);
    }
  }
}

}  // namespace DETKIT_ISA
}  // namespace detkit
