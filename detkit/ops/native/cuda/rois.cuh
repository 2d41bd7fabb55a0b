// What the four kinds of RoI pooling share: cleaning, the choice of the level, float16 and float32,
// how threads are laid over the output, and gradients in float32.
//
// A block belongs to one RoI; its threads are the cells of a group of channels, consecutive ones
// along x: the outputs are written in order, and neighbours read neighbouring pixels. Each thread
// works on kChannels channels of its cell, so that the geometry is made once for all of them and
// their reads are independent of each other.
#pragma once

#include "launch.cuh"

namespace detkit {
namespace cuda {

constexpr int kChannels = 8;
constexpr int kBlocksAtOnce = 3;  // of a multiprocessor, at least: up to 80 registers a thread
constexpr float kFarthest = 1e4f;
constexpr float kSmallestSide = 1e-2f;

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline void store(float* out, float x) { *out = x; }
__device__ inline void store(__half* out, float x) { *out = __float2half_rn(x); }

struct RoI {
  float x1, y1, x2, y2;
};

__device__ inline float clean(float coordinate) {
  return is_finite(coordinate) ? fminf(fmaxf(coordinate, -kFarthest), kFarthest) : 0.0f;
}

__device__ inline RoI clean_roi(const float* corners) {
  const RoI roi = {clean(corners[0]), clean(corners[1]), clean(corners[2]), clean(corners[3])};
  return {roi.x1, roi.y1, fmaxf(roi.x2, roi.x1 + kSmallestSide),
          fmaxf(roi.y2, roi.y1 + kSmallestSide)};
}

__device__ inline int level_of(const DetkitRoIs& geometry, const RoI& roi) {
  if (geometry.levels == 1) return 0;
  const float margin = geometry.level_margin;
  const float size = sqrtf((roi.x2 - roi.x1 + margin) * (roi.y2 - roi.y1 + margin));
  const float level =
      floorf(geometry.canonical_level + log2f(size / geometry.canonical_size) + 1e-6f);
  const float last = static_cast<float>(geometry.levels - 1);
  return static_cast<int>(fminf(fmaxf(level - geometry.first_level, 0.0f), last));
}

// The maps of all levels: const T or, for gradients, float.
template <class T>
struct Maps {
  T* level[DETKIT_MAX_LEVELS];
};

// Where an RoI is pooled from: corners in cells of its level, the first channel of its image.
template <class T>
struct Place {
  RoI roi;
  T* map;  // null: there is no such image
  int height, width;
  size_t plane;

  __device__ T* channel(int c) const { return map ? map + c * plane : nullptr; }
};

template <class T>
__device__ Place<T> find_place(const DetkitRoIs& geometry, const Maps<T>& maps, const float* rois,
                               int r) {
  const float* row = rois + 5 * static_cast<size_t>(r);
  Place<T> place = {clean_roi(row + 1), nullptr, 0, 0, 0};
  const int level = level_of(geometry, place.roi);
  const float scale = pick(geometry.scale, level), image = row[0];
  place.roi = {__fmul_rn(place.roi.x1, scale), __fmul_rn(place.roi.y1, scale),
               __fmul_rn(place.roi.x2, scale), __fmul_rn(place.roi.y2, scale)};
  place.height = pick(geometry.height, level);
  place.width = pick(geometry.width, level);
  place.plane = static_cast<size_t>(place.height) * place.width;
  const bool exists =
      image >= 0.0f && image < static_cast<float>(geometry.images) && image == floorf(image);
  if (exists) {
    const size_t maps_before = static_cast<size_t>(image) * geometry.channels;
    place.map = pick(maps.level, level) + maps_before * place.plane;
  }
  return place;
}

// The part of the output that a thread makes: one cell of channels first..first + count - 1.
struct Work {
  int roi, row, column, first, count;
  size_t out;    // of the first channel
  size_t plane;  // from one channel to the next
};

// Element c of the arrays below is channel first + c; all loops over channels are unrolled and skip
// those beyond `count`, so that the arrays stay in registers.
template <class T>
__device__ void store_values(const Work& work, const float* values, T* out) {
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    if (c < work.count) store(out + work.out + c * work.plane, values[c]);
  }
}

template <class T>
__device__ void load_gradients(const Work& work, const T* grad_out, float* gradients) {
#pragma unroll
  for (int c = 0; c < kChannels; ++c) {
    gradients[c] = c < work.count ? to_float(grad_out[work.out + c * work.plane]) : 0.0f;
  }
}

// Of thread threadIdx.x in block `block` of the RoI's.
__device__ inline Work work_at(const DetkitRoIs& geometry, int roi, int block) {
  const int cells = geometry.size * geometry.size;
  const int64_t i = static_cast<int64_t>(block) * kThreads + threadIdx.x;
  const int cell = static_cast<int>(i % cells);
  const int64_t first = i / cells * kChannels;
  Work work;
  work.roi = roi;
  work.row = cell / geometry.size;
  work.column = cell % geometry.size;
  work.first = static_cast<int>(first < geometry.channels ? first : geometry.channels);
  work.count = min(kChannels, geometry.channels - work.first);  // 0: none
  work.plane = cells;
  work.out = (static_cast<size_t>(work.roi) * geometry.channels + work.first) * work.plane + cell;
  return work;
}

__device__ inline Work find_work(const DetkitRoIs& geometry, int blocks_per_roi) {
  const int block = blockIdx.x % blocks_per_roi;
  return work_at(geometry, blockIdx.x / blocks_per_roi, block);
}

inline int64_t blocks_per_roi(const DetkitRoIs& geometry) {
  const int64_t groups = divide_up(geometry.channels, kChannels);
  return divide_up(groups * geometry.size * geometry.size, kThreads);
}

inline bool valid_rois(const DetkitRoIs& geometry) {
  if (geometry.images < 0 || geometry.channels < 0 || geometry.rois < 0 || geometry.size < 1 ||
      geometry.size > 1024 || geometry.levels < 1 || geometry.levels > DETKIT_MAX_LEVELS ||
      !(geometry.levels == 1 ||
        (geometry.canonical_size > 0.0f && geometry.level_margin >= 0.0f))) {
    return false;
  }
  for (int i = 0; i < geometry.levels; ++i) {
    const int64_t height = geometry.height[i], width = geometry.width[i];
    if (height < 1 || width < 1 || height * (width + 1) > 0x7fffffff) return false;
    if (!(geometry.scale[i] > 0.0f && geometry.scale[i] <= 1e3f)) return false;
  }
  return blocks_per_roi(geometry) <= kMostBlocks;
}

template <class T>
Maps<const T> maps_of(const DetkitRoIs& geometry, const void* const* features) {
  Maps<const T> maps = {};
  for (int i = 0; features && i < geometry.levels; ++i) {
    maps.level[i] = static_cast<const T*>(features[i]);
  }
  return maps;
}

// Starts kernel(geometry, blocks per RoI, arguments...) over all RoIs.
template <class... Parameters, class... Arguments>
int launch_rois(void (*kernel)(DetkitRoIs, int, Parameters...), const DetkitRoIs& geometry,
                void* stream, Arguments... arguments) {
  const int64_t blocks = blocks_per_roi(geometry);
  return launch(kernel, blocks * geometry.rois, kThreads, stream, geometry,
                static_cast<int>(blocks), arguments...);
}

// ------------------------------------------------------------------------- gradients

inline size_t elements(const DetkitRoIs& geometry, int level) {
  return static_cast<size_t>(geometry.images) * geometry.channels * geometry.height[level] *
         geometry.width[level];
}

inline Maps<float> float_maps(const DetkitRoIs& geometry, Workspace* workspace) {
  Maps<float> maps = {};
  for (int i = 0; i < geometry.levels; ++i) {
    maps.level[i] = workspace->take<float>(elements(geometry, i));
  }
  return maps;
}

template <class T>
__global__ void round_sums(size_t count, const float* from, T* to) {
  const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) store(to + i, from[i]);
}

// Float16 sums would lose small terms: they are made in the workspace and rounded once.
template <class T>
class Gradients {
 public:
  Gradients(const DetkitRoIs& geometry, void* const* out, void* workspace)
      : geometry_(geometry), out_(out), sums_{} {
    if constexpr (kRounded) {
      Workspace pieces(workspace);
      sums_ = float_maps(geometry, &pieces);
    } else {
      for (int i = 0; i < geometry.levels; ++i) sums_.level[i] = static_cast<float*>(out[i]);
    }
  }
  const Maps<float>& sums() const { return sums_; }
  int begin(void* stream) const {
    for (int i = 0; i < geometry_.levels; ++i) {
      DETKIT_TRY(clear(sums_.level[i], elements(geometry_, i) * sizeof(float), stream));
    }
    return DETKIT_OK;
  }
  int finish(void* stream) const {
    if constexpr (kRounded) {
      for (int i = 0; i < geometry_.levels; ++i) {
        const size_t count = elements(geometry_, i);
        DETKIT_TRY(launch(round_sums<T>, divide_up(static_cast<int64_t>(count), kThreads), kThreads,
                          stream, count, static_cast<const float*>(sums_.level[i]),
                          static_cast<T*>(out_[i])));
      }
    }
    (void)stream;
    return DETKIT_OK;
  }

 private:
  static constexpr bool kRounded = sizeof(T) < sizeof(float);
  const DetkitRoIs& geometry_;
  void* const* out_;
  Maps<float> sums_;
};

}  // namespace cuda
}  // namespace detkit
