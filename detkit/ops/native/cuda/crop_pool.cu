// Crop pooling: 2P x 2P bilinear samples from corner to corner, and the maximum of each 2 x 2. The
// crop is never stored: the four samples of a cell are computed, compared and dropped.
#include "pooling.cuh"

namespace detkit {
namespace cuda {
namespace {

constexpr int kSamples = 4;

// One axis of a sample: it lies between two pixels, which have weight 0 if they are outside of the
// map.
struct Sample {
  int low, high;
  float low_weight, high_weight;
};

__device__ Sample make_sample(float begin, float end, int sample, int samples, int size) {
  const float at = begin + (end - begin) * sample / (samples - 1);
  if (!(at > -1.0f && at < static_cast<float>(size))) return {0, 0, 0.0f, 0.0f};
  const float floor_at = floorf(at), part = at - floor_at;
  const int low = static_cast<int>(floor_at);
  return {max(low, 0), min(low + 1, size - 1), low < 0 ? 0.0f : 1.0f - part,
          low + 1 < size ? part : 0.0f};
}

// The four samples of a cell, in two rows and two columns.
struct CropCell {
  Sample y[2], x[2];
  int width;

  template <class T>
  __device__ CropCell(const DetkitRoIs& geometry, const Source<T>& source, const Slice& slice)
      : width(source.width) {
    const int samples = 2 * geometry.size;
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      y[k] = make_sample(source.box.y1, source.box.y2, 2 * slice.row + k, samples, source.height);
      x[k] = make_sample(source.box.x1, source.box.x2, 2 * slice.column + k, samples, source.width);
    }
  }

  // Adds up visit(pixel, weight) over the pixels of sample s that have a weight.
  template <class Visit>
  __device__ float sum(int s, Visit visit) const {
    const Sample &row = y[s / 2], &column = x[s % 2];
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

// The largest sample of a channel, and its number; NaN is never larger than a number.
template <class T>
__device__ float largest(const CropCell& cell, const T* map, int* which) {
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
  const Slice slice = find_slice(geometry, blocks);
  if (slice.count == 0) return;
  const Source<const T> source = find_source(geometry, features, rois, slice.roi);
  const CropCell cell(geometry, source, slice);
  const T* map = source.channel(slice.first);
#pragma unroll 1  // 16 reads of a channel are enough in flight
  for (int c = 0; c < slice.count; ++c) {
    int which;
    const float value = map ? largest(cell, map + c * source.plane, &which) : 0.0f;
    store(out + slice.out + c * slice.plane, value);
  }
}

// Two blocks at once, because it needs more registers than the others.
template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    crop_backward(DetkitRoIs geometry, int blocks, Maps<const T> features, const float* rois,
                  const T* grad_out, Maps<float> sums) {
  const Slice slice = find_slice(geometry, blocks);
  if (slice.count == 0) return;
  const Source<const T> source = find_source(geometry, features, rois, slice.roi);
  const T* map = source.channel(slice.first);
  if (!map) return;
  const CropCell cell(geometry, source, slice);
  float* sums_map = find_source(geometry, sums, rois, slice.roi).channel(slice.first);
#pragma unroll 1
  for (int c = 0; c < slice.count; ++c) {
    const float gradient = to_float(grad_out[slice.out + c * slice.plane]);
    float* own = sums_map + c * source.plane;
    int which = 0;
    largest(cell, map + c * source.plane, &which);
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

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

int detkit_cuda_crop_pool(const DetkitRoIs* geometry, const void* const* features,
                          const float* rois, void* out, int half, void* stream) {
  return start_forward(crop_forward<float>, crop_forward<__half>,
                       {*geometry, features, rois, out, half, stream});
}

int detkit_cuda_crop_pool_backward(const DetkitRoIs* geometry, const void* const* features,
                                   const float* rois, const void* grad_out,
                                   void* const* grad_features, int half, void* workspace,
                                   void* stream) {
  return start_backward(
      crop_backward<float>, crop_backward<__half>,
      {*geometry, features, rois, grad_out, grad_features, half, workspace, stream});
}
