// RoIPool: the maximum, or the average, of the pixels of each cell. Backward finds the maximum
// again instead of keeping an index for each output: cells have few pixels, and they are read once
// more.
#include "pooling.cuh"

namespace detkit {
namespace cuda {
namespace {

// A cell's pixels along one axis, begin..end - 1.
struct PixelRange {
  int begin, end;

  __device__ int count() const { return end > begin ? end - begin : 0; }
};

// The edges are float32, rounded as in kernels.h: the pixel they fall on must not depend on fusing.
__device__ PixelRange make_range(float low, float high, int cell, int cells, int size) {
  const float first = roundf(low), last = roundf(high);
  const float side = __fdiv_rn(fmaxf(last - first + 1.0f, 1.0f), static_cast<float>(cells));
  const float begin = first + floorf(__fmul_rn(static_cast<float>(cell), side));
  const float end = first + ceilf(__fmul_rn(static_cast<float>(cell + 1), side));
  const float limit = static_cast<float>(size);
  return {static_cast<int>(fminf(fmaxf(begin, 0.0f), limit)),
          static_cast<int>(fminf(fmaxf(end, 0.0f), limit))};
}

using PoolCell = Cell<PixelRange>;

__device__ bool is_empty(const PoolCell& cell) {
  return cell.y.count() == 0 || cell.x.count() == 0;
}

__device__ float pixels_of(const PoolCell& cell) {
  return static_cast<float>(cell.y.count()) * cell.x.count();
}

// Calls visit(first, pixel, where) for each pixel of the cell, in row-major order; `where` counts
// from the map's corner.
template <class T, class Visit>
__device__ void for_each_pixel(const PoolCell& cell, const Source<T>& source, const Slice& slice,
                               Visit visit) {
  T* map = source.channel(slice.first);
  for (int y = cell.y.begin; y < cell.y.end; ++y) {
    for (int x = cell.x.begin; x < cell.x.end; ++x) {
      const int where = y * source.width + x;
      visit(y == cell.y.begin && x == cell.x.begin, map + where, where);
    }
  }
}

// The maximum of each channel and, if asked for, its place; it is NaN only if all pixels are.
template <class T>
__device__ void largest(const PoolCell& cell, const Source<const T>& source, const Slice& slice,
                        float* values, int* which) {
  for_each_pixel(cell, source, slice, [&](bool first, const T* pixel, int where) {
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      if (c >= slice.count) continue;
      const float value = to_float(pixel[c * source.plane]);
      const bool number_at_last = values[c] != values[c] && value == value;
      if (!first && !(value > values[c]) && !number_at_last) continue;
      values[c] = value;
      if (which) which[c] = where;
    }
  });
}

template <class T>
__device__ void average(const PoolCell& cell, const Source<const T>& source, const Slice& slice,
                        float* values) {
  for_each_pixel(cell, source, slice, [&](bool, const T* pixel, int) {
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      if (c < slice.count) values[c] += to_float(pixel[c * source.plane]);
    }
  });
  const float share = 1.0f / pixels_of(cell);
#pragma unroll
  for (int c = 0; c < kChannels; ++c) values[c] *= share;
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    pool_forward(DetkitRoIs geometry, int blocks, int mode, Maps<const T> features,
                 const float* rois, T* out) {
  const Slice slice = find_slice(geometry, blocks);
  if (slice.count == 0) return;
  const Source<const T> source = find_source(geometry, features, rois, slice.roi);
  const PoolCell cell = make_cell<make_range>(geometry, source, slice);
  float values[kChannels] = {};
  if (source.map && !is_empty(cell)) {
    if (mode == DETKIT_AVERAGE) {
      average(cell, source, slice, values);
    } else {
      largest(cell, source, slice, values, nullptr);
    }
  }
  store_values(slice, values, out);
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    pool_backward(DetkitRoIs geometry, int blocks, int mode, Maps<const T> features,
                  const float* rois, const T* grad_out, Maps<float> sums) {
  const Slice slice = find_slice(geometry, blocks);
  if (slice.count == 0) return;
  const Source<float> source = find_source(geometry, sums, rois, slice.roi);
  const PoolCell cell = make_cell<make_range>(geometry, source, slice);
  if (!source.map || is_empty(cell)) return;
  float gradients[kChannels];
  if (mode == DETKIT_AVERAGE) {
    load_gradients(slice, grad_out, gradients);
    const float share = 1.0f / pixels_of(cell);
    return for_each_pixel(cell, source, slice, [&](bool, float* pixel, int) {
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        if (c < slice.count) atomicAdd(pixel + c * source.plane, share * gradients[c]);
      }
    });
  }
  float values[kChannels] = {};
  int which[kChannels] = {};
  largest(cell, find_source(geometry, features, rois, slice.roi), slice, values, which);
  load_gradients(slice, grad_out, gradients);
  float* map = source.channel(slice.first);
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    if (c < slice.count) atomicAdd(map + c * source.plane + which[c], gradients[c]);
  }
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

int detkit_cuda_roi_pool(const DetkitRoIs* geometry, int mode, const void* const* features,
                         const float* rois, void* out, int half, void* stream) {
  return start_forward(pool_forward<float>, pool_forward<__half>,
                       {*geometry, features, rois, out, half, stream}, mode);
}

int detkit_cuda_roi_pool_backward(const DetkitRoIs* geometry, int mode, const void* const* features,
                                  const float* rois, const void* grad_out,
                                  void* const* grad_features, int half, void* workspace,
                                  void* stream) {
  return start_backward(
      pool_backward<float>, pool_backward<__half>,
      {*geometry, features, rois, grad_out, grad_features, half, workspace, stream}, mode);
}
