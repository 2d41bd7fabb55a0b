// RoIPool: the maximum, or the average, of the pixels of each cell. Backward finds the maximum
// again rather than keeping an index for each output: the features are read once more, from cells
// of a few pixels.
#include "rois.cuh"

namespace detkit {
namespace cuda {
namespace {

// A cell's pixels along one axis, begin..end - 1.
struct Span {
  int begin, end;

  __device__ int length() const { return end - begin; }
};

// Edges in float32, rounded as in kernels.h: which pixel they fall on must not depend on fusing.
__device__ Span make_span(float low, float high, int cell, int cells, int size) {
  const float first = roundf(low), last = roundf(high);
  const float side = __fdiv_rn(fmaxf(last - first + 1.0f, 1.0f), static_cast<float>(cells));
  const float begin = first + floorf(__fmul_rn(static_cast<float>(cell), side));
  const float end = first + ceilf(__fmul_rn(static_cast<float>(cell + 1), side));
  const float limit = static_cast<float>(size);
  return {static_cast<int>(fminf(fmaxf(begin, 0.0f), limit)),
          static_cast<int>(fminf(fmaxf(end, 0.0f), limit))};
}

struct Cell {
  Span y, x;

  template <class T>
  __device__ Cell(const DetkitRoIs& geometry, const Place<T>& place, const Work& work)
      : y(make_span(place.roi.y1, place.roi.y2, work.row, geometry.size, place.height)),
        x(make_span(place.roi.x1, place.roi.x2, work.column, geometry.size, place.width)) {}
  __device__ bool empty() const { return y.length() <= 0 || x.length() <= 0; }
  __device__ float count() const { return static_cast<float>(y.length()) * x.length(); }
};

// visit(first, pixel, where) for each pixel of the cell, in row-major order; `where` counts from
// the map's corner.
template <class T, class Visit>
__device__ void for_each_pixel(const Cell& cell, const Place<T>& place, const Work& work,
                               Visit visit) {
  T* map = place.channel(work.first);
  for (int y = cell.y.begin; y < cell.y.end; ++y) {
    for (int x = cell.x.begin; x < cell.x.end; ++x) {
      const int where = y * place.width + x;
      visit(y == cell.y.begin && x == cell.x.begin, map + where, where);
    }
  }
}

// The maximum of each channel and, if asked for, where it is; NaN is never that of a cell that
// holds a number.
template <class T>
__device__ void largest(const Cell& cell, const Place<const T>& place, const Work& work,
                        float* values, int* which) {
  for_each_pixel(cell, place, work, [&](bool first, const T* pixel, int where) {
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      if (c >= work.count) continue;
      const float value = to_float(pixel[c * place.plane]);
      const bool number_at_last = values[c] != values[c] && value == value;
      if (!first && !(value > values[c]) && !number_at_last) continue;
      values[c] = value;
      if (which) which[c] = where;
    }
  });
}

template <class T>
__device__ void average(const Cell& cell, const Place<const T>& place, const Work& work,
                        float* values) {
  for_each_pixel(cell, place, work, [&](bool, const T* pixel, int) {
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      if (c < work.count) values[c] += to_float(pixel[c * place.plane]);
    }
  });
  const float share = 1.0f / cell.count();
#pragma unroll
  for (int c = 0; c < kChannels; ++c) values[c] *= share;
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    pool_forward(DetkitRoIs geometry, int blocks, int mode, Maps<const T> features,
                 const float* rois, T* out) {
  const Work work = find_work(geometry, blocks);
  if (work.count == 0) return;
  const Place<const T> place = find_place(geometry, features, rois, work.roi);
  const Cell cell(geometry, place, work);
  float values[kChannels] = {};
  if (place.map && !cell.empty()) {
    if (mode == DETKIT_AVERAGE) {
      average(cell, place, work, values);
    } else {
      largest(cell, place, work, values, nullptr);
    }
  }
  store_values(work, values, out);
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    pool_backward(DetkitRoIs geometry, int blocks, int mode, Maps<const T> features,
                  const float* rois, const T* grad_out, Maps<float> sums) {
  const Work work = find_work(geometry, blocks);
  if (work.count == 0) return;
  const Place<float> place = find_place(geometry, sums, rois, work.roi);
  const Cell cell(geometry, place, work);
  if (!place.map || cell.empty()) return;
  float gradients[kChannels];
  if (mode == DETKIT_AVERAGE) {
    load_gradients(work, grad_out, gradients);
    const float share = 1.0f / cell.count();
    return for_each_pixel(cell, place, work, [&](bool, float* pixel, int) {
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        if (c < work.count) atomicAdd(pixel + c * place.plane, share * gradients[c]);
      }
    });
  }
  float values[kChannels] = {};
  int which[kChannels] = {};
  largest(cell, find_place(geometry, features, rois, work.roi), work, values, which);
  load_gradients(work, grad_out, gradients);
  float* map = place.channel(work.first);
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    if (c < work.count) atomicAdd(map + c * place.plane + which[c], gradients[c]);
  }
}

bool valid(const DetkitRoIs& geometry, int mode) {
  return valid_rois(geometry) && (mode == DETKIT_AVERAGE || mode == DETKIT_MAX);
}

template <class T>
int forward(const DetkitRoIs& geometry, int mode, const void* const* features, const float* rois,
            void* out, void* stream) {
  return launch_rois(pool_forward<T>, geometry, stream, mode, maps_of<T>(geometry, features), rois,
                     static_cast<T*>(out));
}

template <class T>
int backward(const DetkitRoIs& geometry, int mode, const void* const* features, const float* rois,
             const void* grad_out, void* const* grad_features, void* workspace, void* stream) {
  const Gradients<T> gradients(geometry, grad_features, workspace);
  DETKIT_TRY(gradients.begin(stream));
  DETKIT_TRY(launch_rois(pool_backward<T>, geometry, stream, mode, maps_of<T>(geometry, features),
                         rois, static_cast<const T*>(grad_out), gradients.sums()));
  return gradients.finish(stream);
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

int detkit_cuda_roi_pool(const DetkitRoIs* geometry, int mode, const void* const* features,
                         const float* rois, void* out, int half, void* stream) {
  if (!valid(*geometry, mode)) return DETKIT_BAD_ARGUMENT;
  const auto call = half ? forward<__half> : forward<float>;
  return call(*geometry, mode, features, rois, out, stream);
}

int detkit_cuda_roi_pool_backward(const DetkitRoIs* geometry, int mode, const void* const* features,
                                  const float* rois, const void* grad_out,
                                  void* const* grad_features, int half, void* workspace,
                                  void* stream) {
  if (!valid(*geometry, mode)) return DETKIT_BAD_ARGUMENT;
  const auto call = half ? backward<__half> : backward<float>;
  return call(*geometry, mode, features, rois, grad_out, grad_features, workspace, stream);
}
