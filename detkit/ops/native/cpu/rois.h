// RoIs, made safe to compute with and sorted by the map that each is pooled from.
#pragma once

#include <float.h>
#include <math.h>

#include "../checks.h"
#include "isa.h"

namespace detkit {
namespace DETKIT_ISA {

struct Box {
  float x1, y1, x2, y2;
};

inline float clean_coordinate(float value) {
  if (!(fabsf(value) <= FLT_MAX)) return 0.0f;  // NaN fails every comparison
  return fminf(fmaxf(value, -DETKIT_MAX_ROI_COORDINATE), DETKIT_MAX_ROI_COORDINATE);
}

inline Box clean_box(const float* box) {
  const float x1 = clean_coordinate(box[0]), y1 = clean_coordinate(box[1]);
  return {x1, y1, fmaxf(clean_coordinate(box[2]), x1 + DETKIT_MIN_ROI_SIDE),
          fmaxf(clean_coordinate(box[3]), y1 + DETKIT_MIN_ROI_SIDE)};
}

// The index of the level that a clean box is pooled from (Lin et al. 2017, equation 1).
inline int pyramid_level(const DetkitRoIs& geometry, const Box& box) {
  const float margin = geometry.level_margin;
  const float size = sqrtf((box.x2 - box.x1 + margin) * (box.y2 - box.y1 + margin));
  const float level = static_cast<float>(geometry.canonical_level) +
                      log2f(size / geometry.canonical_size) + DETKIT_LEVEL_SLACK;
  const float index = floorf(level) - static_cast<float>(geometry.first_level);
  return static_cast<int>(fminf(fmaxf(index, 0.0f), static_cast<float>(geometry.levels - 1)));
}

// Pixels begin..end-1 of one axis of a map.
struct PixelRange {
  int begin, end;
  int count() const { return end > begin ? end - begin : 0; }
};

// One axis of an RoI and of the map that it is pooled from.
struct RoIAxis {
  float low, high;  // of the box, pixels of the image
  float scale;      // pixels of the map per pixel of the image
  int length;       // of the map, pixels
};

// Clean boxes, and a stable order of the RoIs in which the RoIs of one map (a level of an image)
// follow each other. The RoIs of no image follow after the last map, as if they were on one more.
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
  // Axis 0 is y. The RoI has to be on a map.
  RoIAxis axis(int roi, int axis) const {
    const Box& box = boxes_[roi];
    const int level = level_of_roi(roi);
    const float scale = geometry_.scale[level];
    if (axis == 0) return {box.y1, box.y2, scale, geometry_.height[level]};
    return {box.x1, box.x2, scale, geometry_.width[level]};
  }
  size_t image(size_t map) const { return map / geometry_.levels; }

 private:
  size_t map_of(float image, const Box& box) const {
    if (!(image >= 0.0f && image < static_cast<float>(geometry_.images))) return maps_;
    if (image != floorf(image)) return maps_;
    const int level = geometry_.levels == 1 ? 0 : pyramid_level(geometry_, box);
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
