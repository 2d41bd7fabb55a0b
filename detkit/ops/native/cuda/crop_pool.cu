// Crop pooling: 2P x 2P bilinear samples from corner to corner, the maximum of each 2 x 2. The crop
// is never written down: the four samples of a cell are made, compared and dropped.
#include "rois.cuh"

namespace detkit {
namespace cuda {
namespace {

constexpr int kSamples = 4;

// One axis of a sample: between pixels low and low + 1, those outside of the map with weight 0.
struct Axis {
  int low, high;
  float low_weight, high_weight;
};

__device__ Axis make_axis(float begin, float end, int sample, int samples, int size) {
  const float at = begin + (end - begin) * sample / (samples - 1);
  if (!(at > -1.0f && at < static_cast<float>(size))) return {0, 0, 0.0f, 0.0f};
  const float floor_at = floorf(at), part = at - floor_at;
  const int low = static_cast<int>(floor_at);
  return {max(low, 0), min(low + 1, size - 1), low < 0 ? 0.0f : 1.0f - part,
          low + 1 < size ? part : 0.0f};
}

// The four samples of a cell: two rows and two columns.
struct Cell {
  Axis y[2], x[2];
  int width;

  template <class T>
  __device__ Cell(const DetkitRoIs& geometry, const Place<T>& place, const Work& work)
      : width(place.width) {
    const int samples = 2 * geometry.size;
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      y[k] = make_axis(place.roi.y1, place.roi.y2, 2 * work.row + k, samples, place.height);
      x[k] = make_axis(place.roi.x1, place.roi.x2, 2 * work.column + k, samples, place.width);
    }
  }

  // Adds up visit(pixel, weight) over the pixels of sample s that have a weight.
  template <class Visit>
  __device__ float sum(int s, Visit visit) const {
    const Axis &row = y[s / 2], &column = x[s % 2];
    float total = 0.0f;
    total += corner(row.low, row.low_weight, column.low, column.low_weight, visit);
    total += corner(row.low, row.low_weight, column.high, column.high_weight, visit);
    total += corner(row.high, row.high_weight, column.low, column.low_weight, visit);
    total += corner(row.high, row.high_weight, column.high, column.high_weight, visit);
    return total;
  }

 private:
  template <class Visit>
  __device__ float corner(int row, float row_weight, int column, float column_weight,
                          Visit visit) const {
    const float weight = row_weight * column_weight;
    return weight > 0.0f ? visit(static_cast<size_t>(row) * width + column, weight) : 0.0f;
  }
};

// The largest sample of a channel and which it is; NaN is never the largest beside a number.
template <class T>
__device__ float largest(const Cell& cell, const T* map, int* which) {
  float best = 0.0f;
#pragma unroll
  for (int s = 0; s < kSamples; ++s) {
    const float value =
        cell.sum(s, [&](size_t pixel, float weight) { return weight * to_float(map[pixel]); });
    if (s == 0 || value > best || (best != best && value == value)) {
      best = value;
      *which = s;
    }
  }
  return best;
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    crop_forward(DetkitRoIs geometry, int blocks, Maps<const T> features, const float* rois,
                 T* out) {
  const Work work = find_work(geometry, blocks);
  if (work.count == 0) return;
  const Place<const T> place = find_place(geometry, features, rois, work.roi);
  const Cell cell(geometry, place, work);
  const T* map = place.channel(work.first);
#pragma unroll 1  // 16 reads of a channel are enough in flight
  for (int c = 0; c < work.count; ++c) {
    int which;
    const float value = map ? largest(cell, map + c * place.plane, &which) : 0.0f;
    store(out + work.out + c * work.plane, value);
  }
}

// Two blocks at once: it needs more registers than the others.
template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    crop_backward(DetkitRoIs geometry, int blocks, Maps<const T> features, const float* rois,
                  const T* grad_out, Maps<float> sums) {
  const Work work = find_work(geometry, blocks);
  if (work.count == 0) return;
  const Place<const T> place = find_place(geometry, features, rois, work.roi);
  const T* map = place.channel(work.first);
  if (!map) return;
  const Cell cell(geometry, place, work);
  float* sums_map = find_place(geometry, sums, rois, work.roi).channel(work.first);
#pragma unroll 1
  for (int c = 0; c < work.count; ++c) {
    const float gradient = to_float(grad_out[work.out + c * work.plane]);
    float* own = sums_map + c * place.plane;
    int which = 0;
    largest(cell, map + c * place.plane, &which);
#pragma unroll  // so that `cell` is indexed by constants, and stays in registers
    for (int s = 0; s < kSamples; ++s) {
      if (s != which) continue;
      cell.sum(s, [&](size_t pixel, float weight) {
        atomicAdd(own + pixel, weight * gradient);
        return 0.0f;
      });
    }
  }
}

template <class T>
int forward(const DetkitRoIs& geometry, const void* const* features, const float* rois, void* out,
            void* stream) {
  return launch_rois(crop_forward<T>, geometry, stream, maps_of<T>(geometry, features), rois,
                     static_cast<T*>(out));
}

template <class T>
int backward(const DetkitRoIs& geometry, const void* const* features, const float* rois,
             const void* grad_out, void* const* grad_features, void* workspace, void* stream) {
  const Gradients<T> gradients(geometry, grad_features, workspace);
  DETKIT_TRY(gradients.begin(stream));
  DETKIT_TRY(launch_rois(crop_backward<T>, geometry, stream, maps_of<T>(geometry, features), rois,
                         static_cast<const T*>(grad_out), gradients.sums()));
  return gradients.finish(stream);
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

int detkit_cuda_crop_pool(const DetkitRoIs* geometry, const void* const* features,
                          const float* rois, void* out, int half, void* stream) {
  if (!valid_rois(*geometry)) return DETKIT_BAD_ARGUMENT;
  const auto call = half ? forward<__half> : forward<float>;
  return call(*geometry, features, rois, out, stream);
}

int detkit_cuda_crop_pool_backward(const DetkitRoIs* geometry, const void* const* features,
                                   const float* rois, const void* grad_out,
                                   void* const* grad_features, int half, void* workspace,
                                   void* stream) {
  if (!valid_rois(*geometry)) return DETKIT_BAD_ARGUMENT;
  const auto call = half ? backward<__half> : backward<float>;
  return call(*geometry, features, rois, grad_out, grad_features, workspace, stream);
}
