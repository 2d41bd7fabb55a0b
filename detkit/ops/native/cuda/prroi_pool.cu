// Precise RoI Pooling: the mean of the bilinear surface over each cell.
//
// The surface is a sum of hats, one on each pixel, and a hat is a product of one for each axis. So
// the mean is a weighted sum over the pixels around the cell, whose weights are the means of hats
// over the cell's sides: no integral is left. The gradient of the RoI follows from the mean of the
// surface along each edge of the cell.
#include "pooling.cuh"

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

// The mean of a pixel's hat over a side, or its value if rounding has left the side no length.
__device__ float mean_hat(const Side& side, int pixel) {
  const float begin = side.begin - pixel, end = side.end - pixel;
  if (!(end > begin)) return hat(begin);
  return (rising(begin, end) + rising(-end, -begin)) / (end - begin);
}

// Calls visit(row, column, weight of the row, weight of the column).
template <class Visit>
__device__ void for_each_pixel(const Cell<Side>& cell, Visit visit) {
  for (int row = cell.y.first; row < cell.y.last; ++row) {
    const float row_weight = mean_hat(cell.y, row);
    for (int column = cell.x.first; column < cell.x.last; ++column) {
      visit(row, column, row_weight, mean_hat(cell.x, column));
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    precise_forward(DetkitRoIs geometry, int blocks, Maps<const T> features, const float* rois,
                    T* out) {
  const Slice slice = find_slice(geometry, blocks);
  if (slice.count == 0) return;
  const Source<const T> source = find_source(geometry, features, rois, slice.roi);
  const T* map = source.channel(slice.first);
  float values[kChannels] = {};
  if (map) {
    const Cell<Side> cell = make_cell<make_side>(geometry, source, slice);
    for_each_pixel(cell, [&](int row, int column, float row_weight, float column_weight) {
      const T* pixel = map + static_cast<size_t>(row) * source.width + column;
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        if (c < slice.count) {
          values[c] += row_weight * column_weight * to_float(pixel[c * source.plane]);
        }
      }
    });
  }
  store_values(slice, values, out);
}

template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    precise_backward(DetkitRoIs geometry, int blocks, Maps<const T>, const float* rois,
                     const T* grad_out, Maps<float> sums) {
  const Slice slice = find_slice(geometry, blocks);
  if (slice.count == 0) return;
  const Source<float> source = find_source(geometry, sums, rois, slice.roi);
  float* map = source.channel(slice.first);
  if (!map) return;
  float gradients[kChannels];
  load_gradients(slice, grad_out, gradients);
  const Cell<Side> cell = make_cell<make_side>(geometry, source, slice);
  for_each_pixel(cell, [&](int row, int column, float row_weight, float column_weight) {
    float* pixel = map + static_cast<size_t>(row) * source.width + column;
    const float weight = row_weight * column_weight;
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      if (c < slice.count && weight > 0.0f) {
        atomicAdd(pixel + c * source.plane, weight * gradients[c]);
      }
    }
  });
}

// Gradients to the corners x1 y1 x2 y2 of an RoI, in cells of its level.
struct CornerGradients {
  float x1, y1, x2, y2;
};

// Turns the means over the cell, along its begin and along its end into gradients of the corners.
__device__ void add_axis(const Side& side, int cell, int cells, float mean, float at_begin,
                         float at_end, float* low, float* high) {
  const float length = side.end - side.begin;
  if (!(length > 0.0f)) return;
  const float begin = (mean - at_begin) / length, end = (at_end - mean) / length;
  const float share = 1.0f / cells;
  *low += begin * (1.0f - cell * share) + end * (1.0f - (cell + 1) * share);
  *high += begin * (cell * share) + end * ((cell + 1) * share);
}

// Adds what the channels of a slice contribute. Each pixel's features are weighted with the
// gradients of their outputs, so that the channels are one surface.
template <class T>
__device__ void add_corners(const DetkitRoIs& geometry, const Source<const T>& source,
                            const Slice& slice, const T* grad_out, CornerGradients* sum) {
  const T* map = source.channel(slice.first);
  float gradients[kChannels];
  load_gradients(slice, grad_out, gradients);
  const Cell<Side> cell = make_cell<make_side>(geometry, source, slice);
  float mean = 0.0f, top = 0.0f, bottom = 0.0f, left = 0.0f, right = 0.0f;
  for_each_pixel(cell, [&](int row, int column, float row_weight, float column_weight) {
    const T* pixel = map + static_cast<size_t>(row) * source.width + column;
    float value = 0.0f;
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      if (c < slice.count) value += gradients[c] * to_float(pixel[c * source.plane]);
    }
    mean += row_weight * column_weight * value;
    top += hat(cell.y.begin - row) * column_weight * value;
    bottom += hat(cell.y.end - row) * column_weight * value;
    left += row_weight * hat(cell.x.begin - column) * value;
    right += row_weight * hat(cell.x.end - column) * value;
  });
  add_axis(cell.x, slice.column, geometry.size, mean, left, right, &sum->x1, &sum->x2);
  add_axis(cell.y, slice.row, geometry.size, mean, top, bottom, &sum->y1, &sum->y2);
}

// The sum over a block, always in the same order; only thread 0 has it.
__device__ float block_sum(float value) {
  __shared__ float warps[kThreads / 32];
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_down_sync(kWarp, value, distance);
  }
  __syncthreads();  // the sums of the last call have been read
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0.0f;
  for (int warp = 0; warp < kThreads / 32; ++warp) sum += warps[warp];
  return sum;
}

// One block per RoI needs no atomics, so that these gradients are the same in every run.
template <class T>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    precise_backward_rois(DetkitRoIs geometry, int blocks, Maps<const T> features,
                          const float* rois, const T* grad_out, float* grad_rois) {
  const int r = blockIdx.x;
  const Source<const T> source = find_source(geometry, features, rois, r);
  CornerGradients sum = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int block = 0; block < blocks && source.map; ++block) {
    const Slice slice = slice_at(geometry, r, block);
    if (slice.count > 0) add_corners(geometry, source, slice, grad_out, &sum);
  }
  const float sums[4] = {block_sum(sum.x1), block_sum(sum.y1), block_sum(sum.x2),
                         block_sum(sum.y2)};
  if (threadIdx.x != 0) return;
  const float* row = rois + 5 * static_cast<size_t>(r);
  const Box box = clean_box(row + 1);
  const float cleaned[4] = {box.x1, box.y1, box.x2, box.y2};
  const float scale = pick(geometry.scale, pyramid_level(geometry, box));
  float* out = grad_rois + 5 * static_cast<size_t>(r);
  out[0] = 0.0f;
  for (int i = 0; i < 4; ++i) out[1 + i] = cleaned[i] == row[1 + i] ? sums[i] * scale : 0.0f;
}

template <class T>
int backward_rois(const BackwardCall& call, float* grad_rois) {
  const int blocks = static_cast<int>(blocks_per_roi(call.geometry));
  return launch(precise_backward_rois<T>, call.geometry.rois, kThreads, call.stream, call.geometry,
                blocks, maps_of<T>(call.geometry, call.features), call.rois,
                static_cast<const T*>(call.grad_out), grad_rois);
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

int detkit_cuda_prroi_pool(const DetkitRoIs* geometry, const void* const* features,
                           const float* rois, void* out, int half, void* stream) {
  return start_forward(precise_forward<float>, precise_forward<__half>,
                       {*geometry, features, rois, out, half, stream});
}

int detkit_cuda_prroi_pool_backward(const DetkitRoIs* geometry, const void* const* features,
                                    const float* rois, const void* grad_out,
                                    void* const* grad_features, float* grad_rois, int half,
                                    void* workspace, void* stream) {
  const BackwardCall call = {*geometry,     features, rois,      grad_out,
                             grad_features, half,     workspace, stream};
  DETKIT_TRY(start_backward(precise_backward<float>, precise_backward<__half>, call));
  if (!grad_rois) return DETKIT_OK;
  return half ? backward_rois<__half>(call, grad_rois) : backward_rois<float>(call, grad_rois);
}
