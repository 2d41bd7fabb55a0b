// Crop pooling: 2P x 2P bilinear samples from corner to corner of the RoI, the map going on with
// zeros outside of itself, and the maximum of each 2 x 2 of them.
#include "sampled_max.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

// The samples of one axis of an RoI, in cells of its map.
struct CropAxis {
  float start, side;
  int intervals;  // from the first sample to the last
  int length;     // of the map
  int samples = 2;

  Sample sample_at(int cell, int i) const {
    const float share = static_cast<float>(2 * cell + i) / static_cast<float>(intervals);
    const float at = start + side * share;
    if (at <= -1.f || at >= static_cast<float>(length)) return outside_of_map();
    const float whole = floorf(at);
    const int low = static_cast<int>(whole);
    if (low < 0) return single_pixel(0, at - whole);
    if (low == length - 1) return single_pixel(low, 1.f - (at - whole));
    return between_pixels(low, at - whole);
  }
};

// Axis 0 is y.
CropAxis crop_axis(const SortedRoIs& rois, int roi, int axis) {
  const DetkitRoIs& geometry = rois.geometry();
  const Box& box = rois.box(roi);
  const int level = rois.level_of_roi(roi);
  const float scale = geometry.scale[level];
  const float start = (axis == 0 ? box.y1 : box.x1) * scale;
  const float end = (axis == 0 ? box.y2 : box.x2) * scale;
  return {start, end - start, 2 * geometry.size - 1,
          axis == 0 ? geometry.height[level] : geometry.width[level]};
}

}  // namespace

int crop_pool(const DetkitRoIs* geometry, const float* const* features, const float* boxes,
              float* out) {
  if (!accepted(*geometry)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  const Samples samples(rois, [&](int roi, int axis) { return crop_axis(rois, roi, axis); });
  return pool_forward(rois, samples, features, out,
                      [&](const Place& place) { max_cells(place, samples, geometry->size); });
}

int crop_pool_backward(const DetkitRoIs* geometry, const float* const* features, const float* boxes,
                       const float* grad_out, float* const* grad_features) {
  if (!accepted(*geometry)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  const Samples samples(rois, [&](int roi, int axis) { return crop_axis(rois, roi, axis); });
  return pool_backward(rois, samples, features, grad_out, grad_features, [&](const Place& place) {
    spread_max_cells(place, samples, geometry->size);
  });
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(crop_pool,
              (const DetkitRoIs* geometry, const float* const* features, const float* rois,
               float* out),
              (geometry, features, rois, out))
DETKIT_KERNEL(crop_pool_backward,
              (const DetkitRoIs* geometry, const float* const* features, const float* rois,
               const float* grad_out, float* const* grad_features),
              (geometry, features, rois, grad_out, grad_features))
