// What the four kinds of RoI pooling share: clean boxes, the choice of the level, float16 and
// float32, and how threads are laid over the output.
//
// A block belongs to one RoI. Its threads are the cells of a group of channels, consecutive along
// x: the outputs are written in order, and neighbours read neighbouring pixels. Each thread works
// on kChannels channels of its cell, so that the geometry is computed once for all of them and
// their reads are independent of each other.
#pragma once

#include "boxes.cuh"

namespace detkit {
namespace cuda {

constexpr int kChannels = 8;
constexpr int kBlocksAtOnce = 3;  // at least, on a multiprocessor: up to 80 registers a thread

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline void store(float* out, float x) { *out = x; }
__device__ inline void store(__half* out, float x) { *out = __float2half_rn(x); }

__device__ inline float clean_coordinate(float value) {
  if (!is_finite(value)) return 0.0f;
  return fminf(fmaxf(value, -DETKIT_MAX_ROI_COORDINATE), DETKIT_MAX_ROI_COORDINATE);
}

__device__ inline Box clean_box(const float* box) {
  const float x1 = clean_coordinate(box[0]), y1 = clean_coordinate(box[1]);
  return {x1, y1, fmaxf(clean_coordinate(box[2]), x1 + DETKIT_MIN_ROI_SIDE),
          fmaxf(clean_coordinate(box[3]), y1 + DETKIT_MIN_ROI_SIDE)};
}

// The index of the level that a clean box is pooled from (Lin et al. 2017, equation 1).
__device__ inline int pyramid_level(const DetkitRoIs& geometry, const Box& box) {
  if (geometry.levels == 1) return 0;
  const float margin = geometry.level_margin;
  const float size = sqrtf((box.x2 - box.x1 + margin) * (box.y2 - box.y1 + margin));
  const float level =
      floorf(geometry.canonical_level + log2f(size / geometry.canonical_size) + DETKIT_LEVEL_SLACK);
  const float last = static_cast<float>(geometry.levels - 1);
  return static_cast<int>(fminf(fmaxf(level - geometry.first_level, 0.0f), last));
}

// The maps of all levels. T is const for features, and float for their gradients.
template <class T>
struct Maps {
  T* level[DETKIT_MAX_LEVELS];
};

// Where an RoI is pooled from: its corners in cells of its level, and the first channel of its
// image.
template <class T>
struct Source {
  Box box;
  T* map;  // null: there is no such image
  int height, width;
  size_t plane;

  __device__ T* channel(int c) const { return map ? map + c * plane : nullptr; }
};

template <class T>
__device__ Source<T> find_source(const DetkitRoIs& geometry, const Maps<T>& maps, const float* rois,
                                 int r) {
  const float* row = rois + 5 * static_cast<size_t>(r);
  Source<T> source = {clean_box(row + 1), nullptr, 0, 0, 0};
  const int level = pyramid_level(geometry, source.box);
  const float scale = pick(geometry.scale, level), image = row[0];
  source.box = {__fmul_rn(source.box.x1, scale), __fmul_rn(source.box.y1, scale),
                __fmul_rn(source.box.x2, scale), __fmul_rn(source.box.y2, scale)};
  source.height = pick(geometry.height, level);
  source.width = pick(geometry.width, level);
  source.plane = static_cast<size_t>(source.height) * source.width;
  const bool exists =
      image >= 0.0f && image < static_cast<float>(geometry.images) && image == floorf(image);
  if (exists) {
    const size_t maps_before = static_cast<size_t>(image) * geometry.channels;
    source.map = pick(maps.level, level) + maps_before * source.plane;
  }
  return source;
}

// The part of the output that a thread writes: one cell of channels first..first+count-1.
struct Slice {
  int roi, row, column, first, count;
  size_t out;    // of the first channel
  size_t plane;  // from one channel to the next
};

// Element c of the arrays below belongs to channel first + c. All loops over channels are unrolled
// and skip the channels beyond `count`, so that the arrays stay in registers.
template <class T>
__device__ void store_values(const Slice& slice, const float* values, T* out) {
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    if (c < slice.count) store(out + slice.out + c * slice.plane, values[c]);
  }
}

template <class T>
__device__ void load_gradients(const Slice& slice, const T* grad_out, float* gradients) {
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    gradients[c] = c < slice.count ? to_float(grad_out[slice.out + c * slice.plane]) : 0.0f;
  }
}

// The slice of this thread in block `block` of an RoI.
__device__ inline Slice slice_at(const DetkitRoIs& geometry, int roi, int block) {
  const int cells = geometry.size * geometry.size;
  const int64_t i = static_cast<int64_t>(block) * kThreads + threadIdx.x;
  const int cell = static_cast<int>(i % cells);
  const int64_t first = i / cells * kChannels;
  Slice slice;
  slice.roi = roi;
  slice.row = cell / geometry.size;
  slice.column = cell % geometry.size;
  slice.first = static_cast<int>(first < geometry.channels ? first : geometry.channels);
  slice.count = min(kChannels, geometry.channels - slice.first);  // 0: none
  slice.plane = cells;
  slice.out =
      (static_cast<size_t>(slice.roi) * geometry.channels + slice.first) * slice.plane + cell;
  return slice;
}

__device__ inline Slice find_slice(const DetkitRoIs& geometry, int blocks_per_roi) {
  const int block = blockIdx.x % blocks_per_roi;
  return slice_at(geometry, blockIdx.x / blocks_per_roi, block);
}

inline int64_t blocks_per_roi(const DetkitRoIs& geometry) {
  const int64_t groups = divide_up(geometry.channels, kChannels);
  return divide_up(groups * geometry.size * geometry.size, kThreads);
}

// A cell of an RoI, as a pair of one object for each axis.
template <class Axis>
struct Cell {
  Axis y, x;
};

// kMake(how..., low, high, cell, cells, size) makes the object of one axis: cell number `cell` of
// `cells` between low and high, on a map of `size` pixels.
template <auto kMake, class T, class... How>
__device__ auto make_cell(const DetkitRoIs& geometry, const Source<T>& source, const Slice& slice,
                          const How&... how) {
  const Box& box = source.box;
  using Axis = decltype(kMake(how..., 0.0f, 0.0f, 0, 0, 0));
  return Cell<Axis>{kMake(how..., box.y1, box.y2, slice.row, geometry.size, source.height),
                    kMake(how..., box.x1, box.x2, slice.column, geometry.size, source.width)};
}

}  // namespace cuda
}  // namespace detkit
