// Precise RoI Pooling (Jiang et al. 2018): the integral of the bilinear surface over each cell.
//
// The surface is a sum of pixels times products of hat functions, so its integral over a cell is
// separable: the weight of pixel i is the integral of the hat at i along the cell. The weights are
// computed in float64, because under a small RoI they are differences of nearly equal numbers.
#include "weighted_cells.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

double hat(double t) { return fmax(0.0, 1.0 - fabs(t)); }

// The integral of the hat from -infinity to t.
double hat_integral(double t) {
  if (t <= -1.0) return 0.0;
  if (t >= 1.0) return 1.0;
  return t < 0.0 ? 0.5 * (1.0 + t) * (1.0 + t) : 1.0 - 0.5 * (1.0 - t) * (1.0 - t);
}

// The weights of a cell's pixels. With kSets = 3 there are also their derivatives with respect to
// the RoI's first and second coordinate, in image pixels.
template <int kSets>
struct PreciseAxis {
  double start, bin;  // the RoI's corner and the side of a cell, in cells of the map
  double scale;
  int size;    // P
  int length;  // of the map

  int most_taps() const { return DETKIT_ISA::most_taps(static_cast<float>(bin), length); }

  void add_taps(int cell, TapList<kSets>& list) const {
    const double begin = start + cell * bin, end = start + (cell + 1) * bin;
    const double first = fmax(floor(begin), 0.0), last = fmin(ceil(end), length - 1.0);
    for (double i = first; i <= last; i += 1.0) {
      const double weight = (hat_integral(end - i) - hat_integral(begin - i)) / bin;
      float* weights = list.at(static_cast<int>(i));
      weights[0] = static_cast<float>(weight);
      if (kSets == 1) continue;
      const double by_begin = scale * (weight - hat(begin - i)) / bin;
      const double by_end = scale * (hat(end - i) - weight) / bin;
      const double share = static_cast<double>(cell) / size;  // of x2 in x1 + (x2 - x1) * cell / P
      const double next_share = static_cast<double>(cell + 1) / size;
      weights[list.set_stride] =
          static_cast<float>(by_begin * (1.0 - share) + by_end * (1.0 - next_share));
      weights[2 * list.set_stride] = static_cast<float>(by_begin * share + by_end * next_share);
    }
  }
};

template <int kSets>
PreciseAxis<kSets> precise_axis(const SortedRoIs& rois, int roi, int axis) {
  const RoIAxis on_map = rois.axis(roi, axis);
  const int size = rois.geometry().size;
  const double scale = on_map.scale, start = on_map.low * scale, end = on_map.high * scale;
  return {start, (end - start) / size, scale, size, on_map.length};
}

// The part of the gradient of x1 y1 x2 y2 that 16 channels contribute.
struct BoxGradient {
  double coordinate[4];
};

double sum_of_channels(const Block& block, int channels) {
  alignas(64) float values[kBlock];
  store(values, block);
  double sum = 0.0;
  for (int i = 0; i < channels; ++i) sum += values[i];
  return sum;
}

// Each of the four sums takes the derivatives along its own axis and the weights along the other.
template <int kTaps>
void add_column(const Patch& patch, const TapAxis& y, size_t set_stride, int q, int size,
                Block (&sums)[4]) {
  const size_t column_floats = static_cast<size_t>(y.lines) * kBlock;
  for (int p = y.first; p < y.last; ++p) {
    const Block gradient = load(patch.cells + static_cast<size_t>(p * size + q) * kBlock);
    const auto sum = [&](int x_set, int y_set) {
      return sum_along_y<kTaps>(patch.column + x_set * column_floats, y.rank + p * y.taps,
                                y.weight + y_set * set_stride + p * y.taps, y.taps);
    };
    add_product(sums[0], gradient, sum(1, 0));
    add_product(sums[1], gradient, sum(0, 1));
    add_product(sums[2], gradient, sum(2, 0));
    add_product(sums[3], gradient, sum(0, 2));
  }
}

BoxGradient box_gradient(const Patch& patch, const TapAxis& y, const TapAxis& x, size_t set_stride,
                         int size) {
  Block sums[4] = {zero_block(), zero_block(), zero_block(), zero_block()};
  const size_t column_floats = static_cast<size_t>(y.lines) * kBlock;
  for (int q = x.first; q < x.last; ++q) {
    for (int set = 0; set < 3; ++set) {
      with_taps(x.taps, [&](auto taps) {
        sum_along_x<taps.value>(patch.features, y, x.pixel + q * x.taps,
                                x.weight + set * set_stride + q * x.taps, x.taps,
                                patch.column + set * column_floats);
      });
    }
    with_taps(y.taps,
              [&](auto taps) { add_column<taps.value>(patch, y, set_stride, q, size, sums); });
  }
  BoxGradient gradient;
  for (int i = 0; i < 4; ++i) {
    gradient.coordinate[i] = sum_of_channels(sums[i], patch.channels);
  }
  return gradient;
}

// Adds up the parts of the blocks, in their order.
void write_box_gradients(const SortedRoIs& rois, const BoxGradient* parts, const float* boxes,
                         float* grad_rois) {
  const size_t blocks = blocks_of(rois.geometry());
  for (int r = 0; r < rois.geometry().rois; ++r) {
    const float* given = boxes + static_cast<size_t>(r) * 5 + 1;
    const Box& box = rois.box(r);
    const float clean[4] = {box.x1, box.y1, box.x2, box.y2};
    float* gradient = grad_rois + static_cast<size_t>(r) * 5;
    gradient[0] = 0.0f;
    for (int i = 0; i < 4; ++i) {
      double sum = 0.0;
      const bool takes_part = rois.on_a_map(r) && given[i] == clean[i];
      for (size_t block = 0; block < blocks && takes_part; ++block) {
        sum += parts[r * blocks + block].coordinate[i];
      }
      gradient[i + 1] = static_cast<float>(sum);
    }
  }
}

}  // namespace

int prroi_pool(const DetkitRoIs* geometry, const float* const* features, const float* boxes,
               float* out) {
  if (!is_valid(*geometry)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  const TapAxes<> axes(rois, [&](int roi, int axis) { return precise_axis<1>(rois, roi, axis); });
  return pool_forward(rois, axes, features, out, [&](const Patch& patch) {
    weighted_cells(patch, axes.y(patch.roi), axes.x(patch.roi), geometry->size);
  });
}

int prroi_pool_backward(const DetkitRoIs* geometry, const float* const* features,
                        const float* boxes, const float* grad_out, float* const* grad_features,
                        float* grad_rois) {
  if (!is_valid(*geometry) || (grad_rois && !features)) return DETKIT_BAD_ARGUMENT;
  const SortedRoIs rois(*geometry, boxes);
  if (!grad_rois) {
    const TapAxes<> axes(rois, [&](int roi, int axis) { return precise_axis<1>(rois, roi, axis); });
    return pool_backward(rois, axes, nullptr, grad_out, grad_features, [&](const Patch& patch) {
      spread_weighted_cells(patch, axes.y(patch.roi), axes.x(patch.roi), geometry->size);
    });
  }
  const size_t blocks = blocks_of(*geometry);
  const Scratch<BoxGradient> parts(blocks * geometry->rois);
  const TapAxes<3> axes(rois, [&](int roi, int axis) { return precise_axis<3>(rois, roi, axis); });
  const auto spread = [&](const Patch& patch) {
    const TapAxis &y = axes.y(patch.roi), &x = axes.x(patch.roi);
    spread_weighted_cells(patch, y, x, geometry->size);
    parts[patch.roi * blocks + patch.block] =
        box_gradient(patch, y, x, axes.set_stride(), geometry->size);
  };
  const int result = pool_backward(rois, axes, features, grad_out, grad_features, spread);
  write_box_gradients(rois, parts.get(), boxes, grad_rois);
  return result;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(prroi_pool,
              (const DetkitRoIs* geometry, const float* const* features, const float* rois,
               float* out),
              (geometry, features, rois, out))
DETKIT_KERNEL(prroi_pool_backward,
              (const DetkitRoIs* geometry, const float* const* features, const float* rois,
               const float* grad_out, float* const* grad_features, float* grad_rois),
              (geometry, features, rois, grad_out, grad_features, grad_rois))
