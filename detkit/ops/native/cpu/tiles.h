// Tiles of maps, with a tile in each lane: inputs to points, and sums at points to outputs.
#pragma once

#include "arena.h"
#include "before_relu.h"
#include "interleave.h"
#include "winograd.h"

namespace detkit {
namespace DETKIT_ISA {

// Neighbouring tiles of one row of tiles of one image.
struct Segment {
  int image, y, x;  // of the first tile, in tiles
  int start;        // its number among the tiles that are asked for
  int count;
};

// The tiles of maps (B, C, H, W), numbered along rows, then columns, then images.
struct TileGrid {
  TileGrid(int images, int height, int width)
      : height(height),
        width(width),
        rows((height + kTile - 1) / kTile),
        columns((width + kTile - 1) / kTile),
        count(int64_t{images} * rows * columns) {}

  size_t plane() const { return static_cast<size_t>(height) * width; }

  // The number of tiles from `first` on, at most `most`.
  int tiles(int64_t first, int most) const {
    return static_cast<int>(count - first < most ? count - first : most);
  }

  // Writes the segments of the tiles from `first` on, at most one for each. Returns their number.
  int segments(int64_t first, int tiles, Segment* to) const {
    int found = 0;
    for (int start = 0; start < tiles; start += to[found++].count) {
      const int64_t row = (first + start) / columns;
      const int x = static_cast<int>((first + start) % columns);
      const int left = tiles - start;
      const int image = static_cast<int>(row / rows), y = static_cast<int>(row % rows);
      to[found] = {image, y, x, start, columns - x < left ? columns - x : left};
    }
    return found;
  }

  const int height, width;
  const int rows, columns;
  const int64_t count;
};

// The memory in which rows of pixels under a segment become points along y.
struct Lines {
  Lines(Arena* arena, int tiles, const float* zeros)
      : length(static_cast<size_t>(tiles + 2 * kLanes) * kTile),
        of_points(arena->take<float>(kPoints * length)),
        zeros(zeros) {}

  const size_t length;
  float* const of_points;    // (kPoints, length)
  const float* const zeros;  // a row outside of the map
};

// The pixels of a plane under a segment to the points along y. Every lane of the segment's last
// vector can be read.
inline void rows_to_points(const TileGrid& grid, const Segment& segment, const float* plane,
                           const Lines& lines) {
  const int top = segment.y * kTile - 1, left = segment.x * kTile - 1;
  const float* rows[kPoints];
  for (int i = 0; i < kPoints; ++i) {
    const int y = top + i;
    const bool inside = y >= 0 && y < grid.height;
    rows[i] = inside ? plane + static_cast<size_t>(y) * grid.width : lines.zeros;
  }
  const auto store_points = [&](const Floats(&v)[kPoints], int at) {
    for (int i = 0; i < kPoints; ++i) store_lanes(lines.of_points + i * lines.length + at, v[i]);
  };
  if (left < 0) {
    for (int i = 0; i < kPoints; ++i) lines.of_points[i * lines.length] = 0.0f;
  }
  int x = left < 0 ? 0 : left;
  const int last = left + segment.count * kTile + 2;
  const int end = last < grid.width ? last : grid.width;
  for (; x < end; x += kLanes) {
    Floats d[kPoints], v[kPoints];
    for (int i = 0; i < kPoints; ++i) {
      d[i] = load_up_to(rows[i] + x, end - x);
    }
    inputs_to_points(d, v);
    store_points(v, x - left);
  }
  const Floats outside[kPoints] = {};
  const int vectors = (segment.count + kLanes - 1) / kLanes;
  for (x -= left; x < (vectors * kLanes + 2) * kTile; x += kLanes) store_points(outside, x);
}

// A plane under a segment to points[product * stride + tile]. store(to, lanes, count) may overwrite
// what lies behind the segment's last tile, up to a vector.
template <class Point, class Store>
inline void plane_to_points(const TileGrid& grid, const Segment& segment, const float* plane,
                            const Lines& lines, const Store& store, Point* points, size_t stride) {
  rows_to_points(grid, segment, plane, lines);
  for (int tile = 0; tile < segment.count; tile += kLanes) {
    Point* to = points + segment.start + tile;
    for (int i = 0; i < kPoints; ++i) {
      const float* pixels = lines.of_points + i * lines.length + tile * kTile;
      Floats phases[kTile], next[kTile], v[kPoints];
      pixels_to_phases(pixels, phases);
      pixels_to_phases(pixels + kTile, next);
      const Floats d[kPoints] = {phases[0], phases[1], phases[2], phases[3], next[0], next[1]};
      inputs_to_points(d, v);
      for (int j = 0; j < kPoints; ++j) {
        store(to + (i * kPoints + j) * stride, v[j], segment.count - tile);
      }
    }
  }
}

// Stores a row of a vector of tiles, of which `pixels` lie in the map.
inline void store_outputs(const Floats (&phases)[kTile], float bias, const Bound& bound, int pixels,
                          bool past_cache, float* to) {
  Floats row[kTile];
  phases_to_pixels(phases, row);
  for (int k = 0; k < kTile && k * kLanes < pixels; ++k, to += kLanes) {
    const Floats value = bound.apply(row[k] + spread(bias));
    if (past_cache) {
      store_past_cache(to, value, pixels - k * kLanes);
    } else {
      store_up_to(to, value, pixels - k * kLanes);
    }
  }
}

// sums[product * stride + tile] of a segment to a plane of outputs.
inline void points_to_plane(const TileGrid& grid, const Segment& segment, const float* sums,
                            size_t stride, float bias, const Bound& bound, bool past_cache,
                            float* plane) {
  for (int tile = 0; tile < segment.count; tile += kLanes) {
    const float* from = sums + segment.start + tile;
    Floats half[kTile][kPoints];  // outputs along y, points along x
    for (int j = 0; j < kPoints; ++j) {
      Floats m[kPoints], y[kTile];
      for (int i = 0; i < kPoints; ++i) m[i] = load_lanes(from + (i * kPoints + j) * stride);
      points_to_outputs(m, y);
      for (int i = 0; i < kTile; ++i) half[i][j] = y[i];
    }
    const int x = (segment.x + tile) * kTile;
    const int tiles = segment.count - tile < kLanes ? segment.count - tile : kLanes;
    const int pixels = tiles * kTile < grid.width - x ? tiles * kTile : grid.width - x;
    for (int i = 0; i < kTile && segment.y * kTile + i < grid.height; ++i) {
      const size_t row = static_cast<size_t>(segment.y) * kTile + i;
      Floats phases[kTile];
      points_to_outputs(half[i], phases);
      store_outputs(phases, bias, bound, pixels, past_cache, plane + row * grid.width + x);
    }
  }
}

}  // namespace DETKIT_ISA
}  // namespace detkit
