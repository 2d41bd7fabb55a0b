// Crop pooling: 2P x 2P bilinear samples from corner to corner of the RoI, and the maximum of each
// 2 x 2 of them. The map continues with zeros outside of itself.
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
    if (at <= -1.0f || at >= static_cast<float>(length)) return outside_of_map();
    const float whole = floorf(at);
    const int low = static_cast<int>(whole);
    if (low < 0) return single_pixel(0, at - whole);
    if (low == length - 1) return single_pixel(low, 1.0f - (at - whole));
    return between_pixels(low, at - whole);
  }
};

CropAxis crop_axis(const SortedRoIs& rois, int roi, int axis) {
  const RoIAxis on_map = rois.axis(roi, axis);
  const float start = on_map.low * on_map.scale, end = on_map.high * on_map.scale;
  return {start, end - start, 2 * rois.geometry().size - 1, on_map.length};
}

}  // namespace

int crop_pool(const DetkitRoIs* geometry, const float* const* features, const float* boxes,
              float* out) {
  if (!is_valid(*geometry)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  const RoISamples samples(rois, [&](int roi, int axis) { return crop_axis(rois, roi, axis); });
  return pool_forward(rois, samples, features, out,
                      [&](const Patch& patch) { max_cells(patch, samples, geometry->size); });
}

int crop_pool_backward(const DetkitRoIs* geometry, const float* const* features, const float* boxes,
                       const float* grad_out, float* const* grad_features) {
  if (!is_valid(*geometry)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  const RoISamples samples(rois, [&](int roi, int axis) { return crop_axis(rois, roi, axis); });
  return pool_backward(rois, samples, features, grad_out, grad_features, [&](const Patch& patch) {
    spread_max_cells(patch, samples, geometry->size);
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
