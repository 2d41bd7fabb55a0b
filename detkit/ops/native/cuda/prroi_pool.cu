// Precise RoI Pooling: the mean of the bilinear surface over each cell.
//
// The surface is a sum of hats, one on each pixel, and a hat is a product of one for each axis. So
// the mean is a weighted sum over the pixels around the cell, the weights those of means of hats
// over the cell's sides: no integral is left. The gradient to the RoI follows from the mean of the
// surface along each edge of the cell.
#include "rois.cuh"

namespace detkit {
namespace cuda {
namespace {

// A side of a cell, and the pixels whose hats reach it.
struct Side {
  float begin, end;
  int first, last;  // pixels first..last - 1
};

__device__ Side make_side(float low, float high, int cell, int cells, int size) {
  const float step = (high - low) / cells, limit = static_cast<float>(size);
  const float begin = low + cell * step, end = low + (cell + 1) * step;
  return {begin, end, static_cast<int>(fminf(fmaxf(floorf(begin), 0.0f), limit)),
          static_cast<int>(fminf(fmaxf(ceilf(end) + 1.0f, 0.0f), limit))};
}

__device__ float hat(float at) { return fmaxf(1.0f - fabsf(at), 0.0f); }

// The integral of the hat's rising half, which ends at 0, over begin..end.
__device__ float rising(float begin, float end) {
  const float low = fmaxf(begin, -1.0f), high = fminf(end, 0.0f);
  return high > low ? (high - low) * (1.0f + 0.5f * (low + high)) : 0.0f;
}

// The mean of a pixel's hat over a side; at a point if rounding has left the side no length.
__device__ float mean_hat(const Side& side, int pixel) {
  const float begin = side.begin - pixel, end = side.end - pixel;
  if (!(end > begin)) return hat(begin);
  return (rising(begin, end) + rising(-end, -begin)) / (end - begin);
}

struct Cell {
  Side y, x;

  template <class T>
  __device__ Cell(const DetkitRoIs& geometry, const Place<T>& place, const Work& work)
      : y(make_side(place.roi.y1, place.roi.y2, work.row, geometry.size, place.height)),
        x(make_side(place.roi.x1, place.roi.x2, work.column, geometry.size, place.width)) {}

  // visit(row, column, weight of the row, weight of the column)
  template <class Visit>
  __device__ void for_each_pixel(Visit visit) const {
    for (int row = y.first; row < y.last; ++row) {
      const float row_weight = mean_hat(y, row);
      for (int column = x.first; column < x.last; ++column) {
        visit(row, column, row_weight, mean_hat(x, column));
      }
    }
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    precise_forward(DetkitRoIs geometry, int blocks, Maps<const T> features, const float* rois,
                    T* out) {
  const Work work = find_work(geometry, blocks);
  if (work.count == 0) return;
  const Place<const T> place = find_place(geometry, features, rois, work.roi);
  const T* map = place.channel(work.first);
  float values[kChannels] = {};
  if (map) {
    Cell(geometry, place, work)
        .for_each_pixel([&](int row, int column, float row_weight, float column_weight) {
          const T* pixel = map + static_cast<size_t>(row) * place.width + column;
#pragma unroll
          for (int c = 0; c < kChannels; ++c) {
            if (c < work.count) {
              values[c] += row_weight * column_weight * to_float(pixel[c * place.plane]);
            }
          }
        });
  }
  store_values(work, values, out);
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    precise_backward(DetkitRoIs geometry, int blocks, const float* rois, const T* grad_out,
                     Maps<float> sums) {
  const Work work = find_work(geometry, blocks);
  if (work.count == 0) return;
  const Place<float> place = find_place(geometry, sums, rois, work.roi);
  float* map = place.channel(work.first);
  if (!map) return;
  float gradients[kChannels];
  load_gradients(work, grad_out, gradients);
  Cell(geometry, place, work)
      .for_each_pixel([&](int row, int column, float row_weight, float column_weight) {
        float* pixel = map + static_cast<size_t>(row) * place.width + column;
        const float weight = row_weight * column_weight;
#pragma unroll
        for (int c = 0; c < kChannels; ++c) {
          if (c < work.count && weight > 0.0f) {
            atomicAdd(pixel + c * place.plane, weight * gradients[c]);
          }
        }
      });
}

// Gradients to the corners x1 y1 x2 y2 of an RoI, in cells of its level.
struct CornerGradients {
  float x1, y1, x2, y2;
};

// One axis: the mean over the cell, and along its begin and its end, as gradients to the corners.
__device__ void add_axis(const Side& side, int cell, int cells, float mean, float at_begin,
                         float at_end, float* low, float* high) {
  const float length = side.end - side.begin;
  if (!(length > 0.0f)) return;
  const float begin = (mean - at_begin) / length, end = (at_end - mean) / length;
  const float share = 1.0f / cells;
  *low += begin * (1.0f - cell * share) + end * (1.0f - (cell + 1) * share);
  *high += begin * (cell * share) + end * ((cell + 1) * share);
}

// What the channels of `work` give. Each pixel's features count by the gradients of their outputs,
// so that the channels are one surface.
template <class T>
__device__ void add_corners(const DetkitRoIs& geometry, const Place<const T>& place,
                            const Work& work, const T* grad_out, CornerGradients* sum) {
  const T* map = place.channel(work.first);
  float gradients[kChannels];
  load_gradients(work, grad_out, gradients);
  const Cell cell(geometry, place, work);
  float mean = 0.0f, top = 0.0f, bottom = 0.0f, left = 0.0f, right = 0.0f;
  cell.for_each_pixel([&](int row, int column, float row_weight, float column_weight) {
    const T* pixel = map + static_cast<size_t>(row) * place.width + column;
    float value = 0.0f;
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      if (c < work.count) value += gradients[c] * to_float(pixel[c * place.plane]);
    }
    mean += row_weight * column_weight * value;
    top += hat(cell.y.begin - row) * column_weight * value;
    bottom += hat(cell.y.end - row) * column_weight * value;
    left += row_weight * hat(cell.x.begin - column) * value;
    right += row_weight * hat(cell.x.end - column) * value;
  });
  add_axis(cell.x, work.column, geometry.size, mean, left, right, &sum->x1, &sum->x2);
  add_axis(cell.y, work.row, geometry.size, mean, top, bottom, &sum->y1, &sum->y2);
}

// The sum over a block, always in the same order; right in thread 0.
__device__ float block_sum(float value) {
  __shared__ float warps[kThreads / 32];
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_down_sync(kWarp, value, distance);
  }
  __syncthreads();  // the last call's have been read
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0.0f;
  for (int warp = 0; warp < kThreads / 32; ++warp) sum += warps[warp];
  return sum;
}

// One block per RoI: no atomics, so that these gradients are the same in every run.
template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    precise_backward_rois(DetkitRoIs geometry, int blocks, Maps<const T> features,
                          const float* rois, const T* grad_out, float* grad_rois) {
  const int r = blockIdx.x;
  const Place<const T> place = find_place(geometry, features, rois, r);
  CornerGradients sum = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int block = 0; block < blocks && place.map; ++block) {
    const Work work = work_at(geometry, r, block);
    if (work.count > 0) add_corners(geometry, place, work, grad_out, &sum);
  }
  const float sums[4] = {block_sum(sum.x1), block_sum(sum.y1), block_sum(sum.x2),
                         block_sum(sum.y2)};
  if (threadIdx.x != 0) return;
  const float* row = rois + 5 * static_cast<size_t>(r);
  const RoI roi = clean_roi(row + 1);
  const float cleaned[4] = {roi.x1, roi.y1, roi.x2, roi.y2};
  const float scale = pick(geometry.scale, level_of(geometry, roi));
  float* out = grad_rois + 5 * static_cast<size_t>(r);
  out[0] = 0.0f;
  for (int i = 0; i < 4; ++i) out[1 + i] = cleaned[i] == row[1 + i] ? sums[i] * scale : 0.0f;
}

template <class T>
int forward(const DetkitRoIs& geometry, const void* const* features, const float* rois, void* out,
            void* stream) {
  return launch_rois(precise_forward<T>, geometry, stream, maps_of<T>(geometry, features), rois,
                     static_cast<T*>(out));
}

template <class T>
int backward(const DetkitRoIs& geometry, const void* const* features, const float* rois,
             const void* grad_out, void* const* grad_features, float* grad_rois, void* workspace,
             void* stream) {
  const T* gradient = static_cast<const T*>(grad_out);
  const Gradients<T> gradients(geometry, grad_features, workspace);
  DETKIT_TRY(gradients.begin(stream));
  DETKIT_TRY(launch_rois(precise_backward<T>, geometry, stream, rois, gradient, gradients.sums()));
  DETKIT_TRY(gradients.finish(stream));
  if (!grad_rois) return DETKIT_OK;
  return launch(precise_backward_rois<T>, geometry.rois, kThreads, stream, geometry,
                static_cast<int>(blocks_per_roi(geometry)), maps_of<T>(geometry, features), rois,
                gradient, grad_rois);
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

int detkit_cuda_prroi_pool(const DetkitRoIs* geometry, const void* const* features,
                           const float* rois, void* out, int half, void* stream) {
  if (!valid_rois(*geometry)) return DETKIT_BAD_ARGUMENT;
  const auto call = half ? forward<__half> : forward<float>;
  return call(*geometry, features, rois, out, stream);
}

int detkit_cuda_prroi_pool_backward(const DetkitRoIs* geometry, const void* const* features,
                                    const float* rois, const void* grad_out,
                                    void* const* grad_features, float* grad_rois, int half,
                                    void* workspace, void* stream) {
  if (!valid_rois(*geometry)) return DETKIT_BAD_ARGUMENT;
  const auto call = half ? backward<__half> : backward<float>;
  return call(*geometry, features, rois, grad_out, grad_features, grad_rois, workspace, stream);
}
