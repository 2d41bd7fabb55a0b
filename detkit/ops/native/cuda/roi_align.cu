// RoIAlign: the average or the largest of bilinear samples of each cell.
// The average reads each pixel once (align.cuh); the largest needs every sample by itself.
#include "align.cuh"
#include "pooling.cuh"

namespace detkit {
namespace cuda {
namespace {

using AlignCell = Cell<CellSamples>;

__device__ float samples_of(const AlignCell& cell) {
  return static_cast<float>(cell.y.samples) * cell.x.samples;
}

template <class T>
__device__ void average(const AlignCell& cell, const Source<const T>& source, const Slice& slice,
                        float* values) {
  const T* map = source.channel(slice.first);
  int row, column;
  float row_weight, weight;
  for (Taps rows(cell.y); rows.next(&row, &row_weight);) {
    for (Taps columns(cell.x); columns.next(&column, &weight);) {
      const T* pixel = map + static_cast<size_t>(row) * source.width + column;
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        if (c < slice.count) values[c] += row_weight * weight * to_float(pixel[c * source.plane]);
      }
    }
  }
  const float share = 1.0f / samples_of(cell);
#pragma unroll
  for (int c = 0; c < kChannels; ++c) values[c] *= share;
}

// One bilinear sample of four pixels. Instead of pixels beyond the map, their neighbours are read.
struct Bilinear {
  size_t top, bottom;
  int left, right;
  float down, across;  // shares of bottom and right
  bool outside;

  __device__ Bilinear(const AlignCell& cell, int j, int i) : top(0), bottom(0) {
    int row, column;
    outside = !(cell.y.sample(j, &row, &down) && cell.x.sample(i, &column, &across));
    if (outside) return;
    top = static_cast<size_t>(row) * cell.x.size;
    bottom = top + (row + 1 < cell.y.size ? cell.x.size : 0);
    left = column;
    right = column + (column + 1 < cell.x.size ? 1 : 0);
  }
  template <class T>
  __device__ float read(const T* map) const {
    if (outside) return 0.0f;
    const float above =
        (1.0f - across) * to_float(map[top + left]) + across * to_float(map[top + right]);
    const float below =
        (1.0f - across) * to_float(map[bottom + left]) + across * to_float(map[bottom + right]);
    return (1.0f - down) * above + down * below;
  }
  __device__ void add(float* map, float gradient) const {
    if (outside) return;
    const float above = (1.0f - down) * gradient, below = down * gradient;
    atomicAdd(map + top + left, (1.0f - across) * above);
    if (across > 0.0f) atomicAdd(map + top + right, across * above);
    if (down > 0.0f) atomicAdd(map + bottom + left, (1.0f - across) * below);
    if (down > 0.0f && across > 0.0f) atomicAdd(map + bottom + right, across * below);
  }
};

// The largest sample of each channel and, if asked for, its number; NaN is the largest only if all
// samples are NaN.
template <class T>
__device__ void largest(const AlignCell& cell, const Source<const T>& source, const Slice& slice,
                        float* values, int* which) {
  const T* map = source.channel(slice.first);
  bool first = true;
  for (int j = cell.y.first; j < cell.y.last; ++j) {
    for (int i = cell.x.first; i < cell.x.last; ++i, first = false) {
      const Bilinear sample(cell, j, i);
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        if (c >= slice.count) continue;
        const float value = sample.read(map + c * source.plane);
        const bool number_at_last = values[c] != values[c] && value == value;
        if (!first && !(value > values[c]) && !number_at_last) continue;
        values[c] = value;
        if (which) which[c] = j * cell.x.samples + i;
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    align_forward(DetkitRoIs geometry, int blocks, DetkitAlign align, Maps<const T> features,
                  const float* rois, T* out) {
  const Slice slice = find_slice(geometry, blocks);
  if (slice.count == 0) return;
  const Source<const T> source = find_source(geometry, features, rois, slice.roi);
  float values[kChannels] = {};
  if (source.map) {
    const AlignCell cell = make_cell<make_samples>(geometry, source, slice, align);
    if (align.mode == DETKIT_AVERAGE) {
      average(cell, source, slice, values);
    } else {
      largest(cell, source, slice, values, nullptr);
    }
  }
  store_values(slice, values, out);
}

__device__ void spread(const AlignCell& cell, const Source<float>& source, const Slice& slice,
                       const float* gradients) {
  float* map = source.channel(slice.first);
  const float share = 1.0f / samples_of(cell);
  int row, column;
  float row_weight, weight;
  for (Taps rows(cell.y); rows.next(&row, &row_weight);) {
    for (Taps columns(cell.x); columns.next(&column, &weight);) {
      float* pixel = map + static_cast<size_t>(row) * source.width + column;
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        if (c < slice.count) {
          atomicAdd(pixel + c * source.plane, row_weight * weight * share * gradients[c]);
        }
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    align_backward(DetkitRoIs geometry, int blocks, DetkitAlign align, Maps<const T> features,
                   const float* rois, const T* grad_out, Maps<float> sums) {
  const Slice slice = find_slice(geometry, blocks);
  if (slice.count == 0) return;
  const Source<float> source = find_source(geometry, sums, rois, slice.roi);
  if (!source.map) return;
  const AlignCell cell = make_cell<make_samples>(geometry, source, slice, align);
  float gradients[kChannels];
  if (align.mode == DETKIT_AVERAGE) {
    load_gradients(slice, grad_out, gradients);
    return spread(cell, source, slice, gradients);
  }
  float values[kChannels] = {};
  int which[kChannels] = {};
  largest(cell, find_source(geometry, features, rois, slice.roi), slice, values, which);
  load_gradients(slice, grad_out, gradients);
  float* map = source.channel(slice.first);
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    if (c >= slice.count) continue;
    const Bilinear sample(cell, which[c] / cell.x.samples, which[c] % cell.x.samples);
    sample.add(map + c * source.plane, gradients[c]);
  }
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

size_t detkit_cuda_roi_backward_workspace(const DetkitRoIs* geometry, int half) {
  Arena arena(nullptr);
  if (half && can_pool(*geometry)) float_maps(*geometry, &arena);
  return arena.used();
}

int detkit_cuda_roi_align(const DetkitRoIs* geometry, const DetkitAlign* align,
                          const void* const* features, const float* rois, void* out, int half,
                          void* stream) {
  if (align->sampling > DETKIT_CUDA_MAX_SAMPLES) return DETKIT_BAD_ARGUMENT;
  return start_forward(align_forward<float>, align_forward<__half>,
                       {*geometry, features, rois, out, half, stream}, *align);
}

int detkit_cuda_roi_align_backward(const DetkitRoIs* geometry, const DetkitAlign* align,
                                   const void* const* features, const float* rois,
                                   const void* grad_out, void* const* grad_features, int half,
                                   void* workspace, void* stream) {
  if (align->sampling > DETKIT_CUDA_MAX_SAMPLES) return DETKIT_BAD_ARGUMENT;
  return start_backward(
      align_backward<float>, align_backward<__half>,
      {*geometry, features, rois, grad_out, grad_features, half, workspace, stream}, *align);
}
