// RoIs made safe to compute with, and sorted by the map that each is pooled from.
#pragma once

#include <float.h>
#include <limits.h>
#include <math.h>

#include "isa.h"

namespace detkit {
namespace DETKIT_ISA {

constexpr float kFarthest = 1e4f;   // pixels, of a coordinate from the image's corner
constexpr float kShortest = 1e-2f;  // pixels, of a side

struct Box {
  float x1, y1, x2, y2;
};

inline float clean_coordinate(float value) {
  if (!(fabsf(value) <= FLT_MAX)) return 0.f;  // NaN fails every comparison
  return fminf(fmaxf(value, -kFarthest), kFarthest);
}

inline Box clean_box(const float* box) {
  const float x1 = clean_coordinate(box[0]), y1 = clean_coordinate(box[1]);
  return {x1, y1, fmaxf(clean_coordinate(box[2]), x1 + kShortest),
          fmaxf(clean_coordinate(box[3]), y1 + kShortest)};
}

// Index of the level that a clean box is pooled from (Lin et al. 2017, equation 1).
inline int level_of(const DetkitRoIs& geometry, const Box& box) {
  const float margin = geometry.level_margin;
  const float size = sqrtf((box.x2 - box.x1 + margin) * (box.y2 - box.y1 + margin));
  const float level =
      static_cast<float>(geometry.canonical_level) + log2f(size / geometry.canonical_size) + 1e-6f;
  const float index = floorf(level) - static_cast<float>(geometry.first_level);
  return static_cast<int>(fminf(fmaxf(index, 0.f), static_cast<float>(geometry.levels - 1)));
}

inline bool accepted(const DetkitRoIs& geometry) {
  if (geometry.images < 0 || geometry.channels < 0 || geometry.rois < 0) return false;
  if (geometry.size < 1 || geometry.size > 1024) return false;
  if (geometry.levels < 1 || geometry.levels > DETKIT_MAX_LEVELS) return false;
  for (int level = 0; level < geometry.levels; ++level) {
    const int64_t height = geometry.height[level], width = geometry.width[level];
    if (height < 1 || width < 1 || height * (width + 1) > INT_MAX) return false;
    if (!(geometry.scale[level] > 0.f && geometry.scale[level] <= 1e3f)) return false;
  }
  return geometry.levels == 1 || (geometry.canonical_size > 0.f && geometry.level_margin >= 0.f);
}

// Clean boxes, and a stable order of the RoIs in which those of one map (an image's level) follow
// each other; the map after the last one holds the RoIs of no image.
class SortedRoIs {
 public:
  SortedRoIs(const DetkitRoIs& geometry, const float* rois)
      : geometry_(geometry),
        maps_(static_cast<size_t>(geometry.images) * geometry.levels),
        boxes_(geometry.rois),
        map_(geometry.rois),
        order_(geometry.rois),
        start_(maps_ + 3) {
    for (size_t m = 0; m < maps_ + 3; ++m) start_[m] = 0;
    for (int r = 0; r < geometry.rois; ++r) {
      const float* roi = rois + static_cast<size_t>(r) * 5;
      boxes_[r] = clean_box(roi + 1);
      map_[r] = map_of(roi[0], boxes_[r]);
      ++start_[map_[r] + 2];
    }
    for (size_t m = 2; m < maps_ + 3; ++m) start_[m] += start_[m - 1];
    for (int r = 0; r < geometry.rois; ++r) order_[start_[map_[r] + 1]++] = r;
  }

  const DetkitRoIs& geometry() const { return geometry_; }
  size_t maps() const { return maps_; }
  int begin(size_t map) const { return start_[map]; }  // positions for at()
  int end(size_t map) const { return start_[map + 1]; }
  int at(int position) const { return order_[position]; }
  const Box& box(int roi) const { return boxes_[roi]; }
  bool on_a_map(int roi) const { return map_[roi] < maps_; }
  int level(size_t map) const { return static_cast<int>(map % geometry_.levels); }
  int level_of_roi(int roi) const { return level(map_[roi]); }
  size_t image(size_t map) const { return map / geometry_.levels; }

 private:
  size_t map_of(float image, const Box& box) const {
    if (!(image >= 0.f && image < static_cast<float>(geometry_.images))) return maps_;
    if (image != floorf(image)) return maps_;
    const int level = geometry_.levels == 1 ? 0 : level_of(geometry_, box);
    return static_cast<size_t>(image) * geometry_.levels + level;
  }

  const DetkitRoIs& geometry_;
  const size_t maps_;
  Scratch<Box> boxes_;
  Scratch<size_t> map_;
  Scratch<int> order_;
  Scratch<int> start_;
};

}  // namespace DETKIT_ISA
}  // namespace detkit
