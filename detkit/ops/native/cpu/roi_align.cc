// RoIAlign: bilinear samples of each cell, their mean or their maximum.
#include "sampled_max.h"
#include "weighted_cells.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

// The samples of one axis of an RoI, in cells of its map.
struct AlignAxis {
  float start, bin;  // the RoI's corner, the side of a cell
  int samples;       // of a cell
  int length;        // of the map

  float position(int cell, int i) const {
    return start + static_cast<float>(cell) * bin +
           (static_cast<float>(i) + 0.5f) * bin / static_cast<float>(samples);
  }

  Sample sample_at(int cell, int i) const {
    const float at = position(cell, i);
    if (at < -1.0f || at > static_cast<float>(length)) return outside_of_map();
    const int low = static_cast<int>(fmaxf(at, 0.0f));
    if (low >= length - 1) return single_pixel(length - 1, 1.0f);
    return between_pixels(low, fmaxf(at, 0.0f) - static_cast<float>(low));
  }

  int most_taps() const {
    const int most = DETKIT_ISA::most_taps(bin, length);
    return samples < most / 2 ? 2 * samples : most;
  }

  template <class List>
  void add_taps(int cell, List& list) const {
    const float share = 1.0f / static_cast<float>(samples);
    for (int i = 0; i < samples; ++i) {
      const Sample sample = sample_at(cell, i);
      if (sample.outside()) continue;
      *list.at(sample.low) += share * sample.low_weight;
      *list.at(sample.high) += share * sample.high_weight;
    }
  }
};

AlignAxis align_axis(const SortedRoIs& rois, const DetkitAlign& align, int roi, int axis) {
  const RoIAxis on_map = rois.axis(roi, axis);
  const float offset = align.aligned ? 0.5f : 0.0f;
  const float start = on_map.low * on_map.scale - offset;
  const float end = on_map.high * on_map.scale - offset;
  const float side = align.aligned ? end - start : fmaxf(end - start, 1.0f);
  const float bin = side / static_cast<float>(rois.geometry().size);
  const int samples = align.sampling > 0 ? align.sampling : static_cast<int>(ceilf(bin));
  return {start, bin, samples > 0 ? samples : 1, on_map.length};
}

}  // namespace

int roi_align(const DetkitRoIs* geometry, const DetkitAlign* align, const float* const* features,
              const float* boxes, float* out) {
  if (!is_valid(*geometry, *align)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  const auto rule = [&](int roi, int axis) { return align_axis(rois, *align, roi, axis); };
  if (align->mode == DETKIT_MAX) {
    const RoISamples samples(rois, rule);
    return pool_forward(rois, samples, features, out,
                        [&](const Patch& patch) { max_cells(patch, samples, geometry->size); });
  }
  const TapAxes<> axes(rois, rule);
  return pool_forward(rois, axes, features, out, [&](const Patch& patch) {
    weighted_cells(patch, axes.y(patch.roi), axes.x(patch.roi), geometry->size);
  });
}

int roi_align_backward(const DetkitRoIs* geometry, const DetkitAlign* align,
                       const float* const* features, const float* boxes, const float* grad_out,
                       float* const* grad_features) {
  if (!is_valid(*geometry, *align)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  const auto rule = [&](int roi, int axis) { return align_axis(rois, *align, roi, axis); };
  if (align->mode == DETKIT_MAX) {
    const RoISamples samples(rois, rule);
    return pool_backward(rois, samples, features, grad_out, grad_features, [&](const Patch& patch) {
      spread_max_cells(patch, samples, geometry->size);
    });
  }
  const TapAxes<> axes(rois, rule);
  return pool_backward(rois, axes, nullptr, grad_out, grad_features, [&](const Patch& patch) {
    spread_weighted_cells(patch, axes.y(patch.roi), axes.x(patch.roi), geometry->size);
  });
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(roi_align,
              (const DetkitRoIs* geometry, const DetkitAlign* align, const float* const* features,
               const float* rois, float* out),
              (geometry, align, features, rois, out))
DETKIT_KERNEL(roi_align_backward,
              (const DetkitRoIs* geometry, const DetkitAlign* align, const float* const* features,
               const float* rois, const float* grad_out, float* const* grad_features),
              (geometry, align, features, rois, grad_out, grad_features))
