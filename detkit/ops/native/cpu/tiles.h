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

  size_t pooled_plane() const { return static_cast<size_t>(height / 2) * (width / 2); }

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

// What becomes of the sums before they are stored.
struct Finish {
  Bound bound;
  bool pools;  // the maximum of each 2 x 2 cells
  bool past_cache;

  // Stores `pixels` of a row of vectors, if it has any.
  template <int kVectors>
  void store(const Floats (&row)[kVectors], float bias, int pixels, float* to) const {
    for (int k = 0; k < kVectors && k * kLanes < pixels; ++k, to += kLanes) {
      const Floats value = bound.apply(row[k] + spread(bias));
      if (past_cache) {
        store_past_cache(to, value, pixels - k * kLanes);
      } else {
        store_up_to(to, value, pixels - k * kLanes);
      }
    }
  }
};

// Outputs of a vector of tiles: along y, at the points along x.
typedef Floats HalfOutputs[kTile][kPoints];

inline void store_rows(const TileGrid& grid, const HalfOutputs& half, int y, int x, int tiles,
                       float bias, const Finish& finish, float* plane) {
  const int pixels = least(tiles * kTile, grid.width - x);
  for (int i = 0; i < kTile && y + i < grid.height; ++i) {
    Floats phases[kTile], row[kTile];
    points_to_outputs(half[i], phases);
    phases_to_pixels(phases, row);
    finish.store(row, bias, pixels, plane + static_cast<size_t>(y + i) * grid.width + x);
  }
}

// The maxima have the same bias and bound as their cells: both keep the order.
inline void store_pooled_rows(const TileGrid& grid, const HalfOutputs& half, int y, int x,
                              int tiles, float bias, const Finish& finish, float* plane) {
  const int width = grid.width / 2, pixels = least(tiles * kTile / 2, width - x / 2);
  for (int i = 0; i < kTile && y + i + 1 < grid.height; i += 2) {
    Floats upper[kTile], lower[kTile], cells[2], row[2];
    points_to_outputs(half[i], upper);
    points_to_outputs(half[i + 1], lower);
    for (int k = 0; k < 2; ++k) {
      cells[k] =
          larger(larger(upper[2 * k], upper[2 * k + 1]), larger(lower[2 * k], lower[2 * k + 1]));
    }
    join_pairs(cells[0], cells[1], row[0], row[1]);
    finish.store(row, bias, pixels, plane + static_cast<size_t>((y + i) / 2) * width + x / 2);
  }
}

// sums[product * stride + tile] of a segment to a plane of outputs.
inline void points_to_plane(const TileGrid& grid, const Segment& segment, const float* sums,
                            size_t stride, float bias, const Finish& finish, float* plane) {
  const auto store = finish.pools ? store_pooled_rows : store_rows;
  for (int tile = 0; tile < segment.count; tile += kLanes) {
    const float* from = sums + segment.start + tile;
    HalfOutputs half;
    for (int j = 0; j < kPoints; ++j) {
      Floats m[kPoints], y[kTile];
      for (int i = 0; i < kPoints; ++i) m[i] = load_lanes(from + (i * kPoints + j) * stride);
      points_to_outputs(m, y);
      for (int i = 0; i < kTile; ++i) half[i][j] = y[i];
    }
    store(grid, half, segment.y * kTile, (segment.x + tile) * kTile,
          least(segment.count - tile, kLanes), bias, finish, plane);
  }
}

}  // namespace DETKIT_ISA
}  // namespace detkit
