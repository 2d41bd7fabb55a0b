// RoIAlign: the average or the largest of bilinear samples of each cell.
// The average reads each pixel once (align.cuh), the largest needs every sample by itself.
#include "align.cuh"

namespace detkit {
namespace cuda {
namespace {

// The samples of a thread's cell.
struct Cell {
  Axis y, x;

  template <class T>
  __device__ Cell(const DetkitRoIs& geometry, const DetkitAlign& align, const Place<T>& place,
                  const Work& work)
      : y(make_axis(align, place.roi.y1, place.roi.y2, work.row, geometry.size, place.height)),
        x(make_axis(align, place.roi.x1, place.roi.x2, work.column, geometry.size, place.width)) {}
  __device__ float count() const { return static_cast<float>(y.samples) * x.samples; }
};

template <class T>
__device__ void average(const Cell& cell, const Place<const T>& place, const Work& work,
                        float* values) {
  const T* map = place.channel(work.first);
  int row, column;
  float row_weight, weight;
  for (Taps rows(cell.y); rows.next(&row, &row_weight);) {
    for (Taps columns(cell.x); columns.next(&column, &weight);) {
      const T* pixel = map + static_cast<size_t>(row) * place.width + column;
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        if (c < work.count) values[c] += row_weight * weight * to_float(pixel[c * place.plane]);
      }
    }
  }
  const float share = 1.0f / cell.count();
#pragma unroll
  for (int c = 0; c < kChannels; ++c) values[c] *= share;
}

// One bilinear sample: four pixels, of which those beyond the map are read as their neighbours.
struct Bilinear {
  size_t top, bottom;
  int left, right;
  float down, across;  // shares of bottom and right
  bool outside;

  __device__ Bilinear(const Cell& cell, int j, int i) : top(0), bottom(0) {
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

// The largest sample of each channel and, if asked for, which it is; NaN is never the largest of
// samples of which one is a number.
template <class T>
__device__ void largest(const Cell& cell, const Place<const T>& place, const Work& work,
                        float* values, int* which) {
  const T* map = place.channel(work.first);
  bool first = true;
  for (int j = cell.y.first; j < cell.y.last; ++j) {
    for (int i = cell.x.first; i < cell.x.last; ++i, first = false) {
      const Bilinear sample(cell, j, i);
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        if (c >= work.count) continue;
        const float value = sample.read(map + c * place.plane);
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
  const Work work = find_work(geometry, blocks);
  if (work.count == 0) return;
  const Place<const T> place = find_place(geometry, features, rois, work.roi);
  float values[kChannels] = {};
  if (place.map) {
    const Cell cell(geometry, align, place, work);
    if (align.mode == DETKIT_AVERAGE) {
      average(cell, place, work, values);
    } else {
      largest(cell, place, work, values, nullptr);
    }
  }
  store_values(work, values, out);
}

__device__ void spread(const Cell& cell, const Place<float>& place, const Work& work,
                       const float* gradients) {
  float* map = place.channel(work.first);
  const float share = 1.0f / cell.count();
  int row, column;
  float row_weight, weight;
  for (Taps rows(cell.y); rows.next(&row, &row_weight);) {
    for (Taps columns(cell.x); columns.next(&column, &weight);) {
      float* pixel = map + static_cast<size_t>(row) * place.width + column;
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        if (c < work.count) {
          atomicAdd(pixel + c * place.plane, row_weight * weight * share * gradients[c]);
        }
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    align_backward(DetkitRoIs geometry, int blocks, DetkitAlign align, Maps<const T> features,
                   const float* rois, const T* grad_out, Maps<float> sums) {
  const Work work = find_work(geometry, blocks);
  if (work.count == 0) return;
  const Place<float> place = find_place(geometry, sums, rois, work.roi);
  if (!place.map) return;
  const Cell cell(geometry, align, place, work);
  float gradients[kChannels];
  if (align.mode == DETKIT_AVERAGE) {
    load_gradients(work, grad_out, gradients);
    return spread(cell, place, work, gradients);
  }
  float values[kChannels] = {};
  int which[kChannels] = {};
  largest(cell, find_place(geometry, features, rois, work.roi), work, values, which);
  load_gradients(work, grad_out, gradients);
  float* map = place.channel(work.first);
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    if (c >= work.count) continue;
    const Bilinear sample(cell, which[c] / cell.x.samples, which[c] % cell.x.samples);
    sample.add(map + c * place.plane, gradients[c]);
  }
}

bool valid(const DetkitRoIs& geometry, const DetkitAlign& align) {
  return valid_rois(geometry) && align.sampling >= 0 && align.sampling <= kMostSamples &&
         (align.mode == DETKIT_AVERAGE || align.mode == DETKIT_MAX);
}

template <class T>
int forward(const DetkitRoIs& geometry, const DetkitAlign& align, const void* const* features,
            const float* rois, void* out, void* stream) {
  return launch_rois(align_forward<T>, geometry, stream, align, maps_of<T>(geometry, features),
                     rois, static_cast<T*>(out));
}

template <class T>
int backward(const DetkitRoIs& geometry, const DetkitAlign& align, const void* const* features,
             const float* rois, const void* grad_out, void* const* grad_features, void* workspace,
             void* stream) {
  const Gradients<T> gradients(geometry, grad_features, workspace);
  DETKIT_TRY(gradients.begin(stream));
  DETKIT_TRY(launch_rois(align_backward<T>, geometry, stream, align, maps_of<T>(geometry, features),
                         rois, static_cast<const T*>(grad_out), gradients.sums()));
  return gradients.finish(stream);
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

size_t detkit_cuda_roi_backward_workspace(const DetkitRoIs* geometry, int half) {
  Workspace workspace(nullptr);
  if (half && valid_rois(*geometry)) float_maps(*geometry, &workspace);
  return workspace.used();
}

int detkit_cuda_roi_align(const DetkitRoIs* geometry, const DetkitAlign* align,
                          const void* const* features, const float* rois, void* out, int half,
                          void* stream) {
  if (!valid(*geometry, *align)) return DETKIT_BAD_ARGUMENT;
  const auto call = half ? forward<__half> : forward<float>;
  return call(*geometry, *align, features, rois, out, stream);
}

int detkit_cuda_roi_align_backward(const DetkitRoIs* geometry, const DetkitAlign* align,
                                   const void* const* features, const float* rois,
                                   const void* grad_out, void* const* grad_features, int half,
                                   void* workspace, void* stream) {
  if (!valid(*geometry, *align)) return DETKIT_BAD_ARGUMENT;
  const auto call = half ? backward<__half> : backward<float>;
  return call(*geometry, *align, features, rois, grad_out, grad_features, workspace, stream);
}
