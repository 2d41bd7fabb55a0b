// A search for boxes by their position and size, for non-maximum suppression of many boxes.
//
// Two boxes with an IoU above t have areas in a ratio of at least t, and centres at most
// w (1 - t) / (2 t) apart in x, if w is the width of either, and likewise in y. (If sides w and v
// share o, then o / (w + v - o) > t, v >= t w, and the centres are at most (w + v) / 2 - o apart.)
// So the boxes are put into levels, each of which covers a factor of 4 in area, and within a level
// into the cells of a grid. A row of cells is contiguous in memory: the boxes that may overlap a
// given one lie in a few such ranges, which are compared a vector at a time. The work is that of N
// lookups, while comparing all pairs is N^2 / 2.
//
// A lookup may return more boxes than it has to, and Threshold decides about each of them. Hence
// the result is to the bit that of comparing all pairs.
#pragma once

#include <math.h>
#include <string.h>

#include "threshold.h"

namespace detkit {
namespace DETKIT_ISA {

class Grid {
 public:
  static constexpr float kLowestIou = 0.1f;  // below it, a lookup would return nearly all boxes

  Grid(Arena* arena, size_t capacity)
      : boxes_(arena, capacity + kLanes),
        bars_(arena->take<float>(capacity + kLanes)),
        position_(arena->take<int32_t>(capacity + kLanes)),
        cell_(arena->take<uint32_t>(capacity)),
        start_(arena->take<uint32_t>(capacity + 1)),
        levels_(arena->take<Level>(kLevels)) {}

  // Stores boxes[first] to boxes[last - 1].
  void build(const Columns& boxes, size_t first, size_t last, const Threshold& threshold) {
    iou_ = threshold.value();
    reach_ = (1 / iou_ - 1) / 2 + 1e-4f;
    find_extents(boxes, first, last);
    lay_out();
    scatter(boxes, first, last, threshold);
  }

  // Sets dead[i] for every boxes[i] that overlaps this one more than the threshold.
  void suppress(const MeasuredBox& box, const Threshold& threshold, uint8_t* dead) {
    if (!(box.area > 0 && is_finite(box.area))) return;
    const BoxLanes lanes(box);
    const Floats bar = threshold.bar_of_one(box.area);
    // An area this small has lost its precision in float32 and says nothing about the sides.
    const float reach = box.area > 1e-30f ? reach_ : __builtin_inff();
    const float x = centre(box.x1, box.x2), y = centre(box.y1, box.y2);
    const float reach_x = (box.x2 - box.x1) * reach + 1e-6f * fabsf(x);
    const float reach_y = (box.y2 - box.y1) * reach + 1e-6f * fabsf(y);
    const int last = grid_level(box.area / iou_ * (1 + 1e-5f));
    for (int l = grid_level(box.area * iou_ * (1 - 1e-5f)); l <= last; ++l) {
      const Level& level = levels_[l];
      if (level.boxes == 0) continue;
      const int left = level.column(x - reach_x), right = level.column(x + reach_x);
      const int bottom = level.row(y + reach_y);
      for (int row = level.row(y - reach_y); row <= bottom; ++row) {
        const uint32_t* cells = start_ + level.first_cell + row * level.columns;
        scan(cells[left], cells[right + 1], lanes, bar, threshold, dead);
      }
    }
  }

 private:
  static constexpr int kLevels = 128;
  static constexpr uint32_t kMostCells = 4096;  // along an axis

  struct Level {
    uint32_t boxes, first_cell;
    int columns, rows;
    float left, right, top, bottom;  // of the centres
    float per_x, per_y;              // cells per pixel

    // A cell that exists, whatever the numbers are; it never decreases with the distance.
    static int cell(float distance, float per_pixel, int cells) {
      const float at = distance * per_pixel;
      return at > 0 ? (at < static_cast<float>(cells) ? static_cast<int>(at) : cells - 1) : 0;
    }
    int column(float x) const { return cell(x - left, per_x, columns); }
    int row(float y) const { return cell(y - top, per_y, rows); }
  };

  static int grid_level(float area) {
    uint32_t bits;
    memcpy(&bits, &area, sizeof bits);
    return static_cast<int>(bits >> 24 & 127);  // every other power of two
  }
  static float centre(float low, float high) { return 0.5f * low + 0.5f * high; }

  void find_extents(const Columns& boxes, size_t first, size_t last) {
    memset(levels_, 0, kLevels * sizeof(Level));
    for (size_t i = first; i < last; ++i) {
      Level& level = levels_[grid_level(boxes.area[i])];
      const float x = centre(boxes.x1[i], boxes.x2[i]), y = centre(boxes.y1[i], boxes.y2[i]);
      const bool is_first = level.boxes++ == 0;
      if (is_first || x < level.left) level.left = x;
      if (is_first || x > level.right) level.right = x;
      if (is_first || y < level.top) level.top = y;
      if (is_first || y > level.bottom) level.bottom = y;
    }
  }

  // Cells are about as large as the reach of a box, but there are no more cells than boxes.
  void lay_out() {
    cells_ = 0;
    for (int l = 0; l < kLevels; ++l) {
      Level& level = levels_[l];
      if (level.boxes == 0) continue;
      const double width = static_cast<double>(level.right) - level.left;
      const double height = static_cast<double>(level.bottom) - level.top;
      const double reach = ldexp(static_cast<double>(reach_), l - 63);
      const double spacing = sqrt(width * height / level.boxes);
      const double side = reach > spacing ? reach : spacing;
      level.columns = cells_along(width / side, level.boxes);
      level.rows = cells_along(height / side, level.boxes / static_cast<uint32_t>(level.columns));
      level.per_x = per_pixel(level.columns, width);
      level.per_y = per_pixel(level.rows, height);
      level.first_cell = cells_;
      cells_ += static_cast<uint32_t>(level.columns * level.rows);
    }
  }
  static int cells_along(double wanted, uint32_t most) {
    const double limit = most < kMostCells ? most : kMostCells;
    return wanted > 1 ? static_cast<int>(wanted < limit ? wanted : limit) : 1;
  }
  static float per_pixel(int cells, double extent) {
    const double density = cells / extent;
    return density < __FLT_MAX__ ? static_cast<float>(density) : __FLT_MAX__;
  }

  // Sorts the boxes by their cell (a counting sort).
  void scatter(const Columns& boxes, size_t first, size_t last, const Threshold& threshold) {
    memset(start_, 0, (cells_ + 1) * sizeof *start_);
    for (size_t i = first; i < last; ++i) {
      const Level& level = levels_[grid_level(boxes.area[i])];
      const int column = level.column(centre(boxes.x1[i], boxes.x2[i]));
      const int row = level.row(centre(boxes.y1[i], boxes.y2[i]));
      cell_[i - first] = level.first_cell + static_cast<uint32_t>(row * level.columns + column);
      ++start_[cell_[i - first]];
    }
    uint32_t end = 0;
    for (uint32_t cell = 0; cell < cells_; ++cell) start_[cell] = end += start_[cell];
    start_[cells_] = end;
    for (size_t i = last; i-- > first;) {
      const uint32_t slot = --start_[cell_[i - first]];
      boxes_.set(slot, boxes.get(i));
      bars_[slot] = threshold.bar(boxes.area[i]);
      position_[slot] = static_cast<int32_t>(i);
    }
    for (uint32_t slot = end; slot < end + kLanes; ++slot) bars_[slot] = __builtin_inff();
  }

  void scan(size_t from, size_t to, const BoxLanes& box, Floats bar, const Threshold& threshold,
            uint8_t* dead) {
    for (size_t slot = from; slot < to; slot += kLanes) {
      const BoxLanes others(boxes_, slot);
      uint32_t above = threshold.above(box, bar, others, load_lanes(bars_ + slot));
      for (; above; above &= above - 1) {
        const size_t found = slot + lowest(above);
        dead[position_[found]] = 1;
        bars_[found] = __builtin_inff();  // it need not be found again
      }
    }
  }

  Columns boxes_;
  float* bars_;
  int32_t* position_;
  uint32_t *cell_, *start_;
  Level* levels_;
  uint32_t cells_ = 0;
  float iou_ = 0, reach_ = 0;
};

}  // namespace DETKIT_ISA
}  // namespace detkit
