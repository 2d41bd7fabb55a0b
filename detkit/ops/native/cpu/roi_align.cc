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
    if (at < -1.f || at > static_cast<float>(length)) return outside_of_map();
    const int low = static_cast<int>(fmaxf(at, 0.f));
    if (low >= length - 1) return single_pixel(length - 1, 1.f);
    return between_pixels(low, fmaxf(at, 0.f) - static_cast<float>(low));
  }

  int most_taps() const {
    const int most = DETKIT_ISA::most_taps(bin, length);
    return samples < most / 2 ? 2 * samples : most;
  }

  template <class List>
  void add_taps(int cell, List& list) const {
    const float share = 1.f / static_cast<float>(samples);
    for (int i = 0; i < samples; ++i) {
      const Sample sample = sample_at(cell, i);
      if (sample.outside()) continue;
      *list.at(sample.low) += share * sample.low_weight;
      *list.at(sample.high) += share * sample.high_weight;
    }
  }
};

// Axis 0 is y.
AlignAxis align_axis(const SortedRoIs& rois, const DetkitAlign& align, int roi, int axis) {
  const DetkitRoIs& geometry = rois.geometry();
  const Box& box = rois.box(roi);
  const int level = rois.level_of_roi(roi);
  const float scale = geometry.scale[level], offset = align.aligned ? 0.5f : 0.f;
  const float start = (axis == 0 ? box.y1 : box.x1) * scale - offset;
  const float end = (axis == 0 ? box.y2 : box.x2) * scale - offset;
  const float side = align.aligned ? end - start : fmaxf(end - start, 1.f);
  const float bin = side / static_cast<float>(geometry.size);
  const int samples = align.sampling > 0 ? align.sampling : static_cast<int>(ceilf(bin));
  return {start, bin, samples > 0 ? samples : 1,
          axis == 0 ? geometry.height[level] : geometry.width[level]};
}

}  // namespace

static bool accepted(const DetkitRoIs& geometry, const DetkitAlign& align) {
  return accepted(geometry) && align.sampling >= 0 &&
         (align.mode == DETKIT_AVERAGE || align.mode == DETKIT_MAX);
}

int roi_align(const DetkitRoIs* geometry, const DetkitAlign* align, const float* const* features,
              const float* boxes, float* out) {
  if (!accepted(*geometry, *align)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  const auto rule = [&](int roi, int axis) { return align_axis(rois, *align, roi, axis); };
  if (align->mode == DETKIT_MAX) {
    const Samples samples(rois, rule);
    return pool_forward(rois, samples, features, out,
                        [&](const Place& place) { max_cells(place, samples, geometry->size); });
  }
  const Axes<> axes(rois, rule);
  return pool_forward(rois, axes, features, out, [&](const Place& place) {
    weighted_cells(place, axes.y(place.roi), axes.x(place.roi), geometry->size);
  });
}

int roi_align_backward(const DetkitRoIs* geometry, const DetkitAlign* align,
                       const float* const* features, const float* boxes, const float* grad_out,
                       float* const* grad_features) {
  if (!accepted(*geometry, *align)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  const auto rule = [&](int roi, int axis) { return align_axis(rois, *align, roi, axis); };
  if (align->mode == DETKIT_MAX) {
    const Samples samples(rois, rule);
    return pool_backward(rois, samples, features, grad_out, grad_features, [&](const Place& place) {
      spread_max_cells(place, samples, geometry->size);
    });
  }
  const Axes<> axes(rois, rule);
  return pool_backward(rois, axes, nullptr, grad_out, grad_features, [&](const Place& place) {
    spread_weighted_cells(place, axes.y(place.roi), axes.x(place.roi), geometry->size);
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
