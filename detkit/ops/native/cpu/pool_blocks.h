// What the RoI operators have in common: blocks of 16 channels of one map are pooled one by one.
//
// The pixels of a block that lie under any RoI are copied into a buffer of (pixels, 16), which
// stays in the caches. One RoI after the other is then pooled from it, and its cells, (P, P, 16),
// are turned into planes, which lie side by side in the result. The cost of a few RoIs on a large
// map is that of the pixels under them. Backward, gradients are added up in such a buffer, in the
// order of the RoIs, and are copied out of it once: every element is written by one thread, and no
// sum depends on the number of threads.
#pragma once

#include "pool_tasks.h"

namespace detkit {
namespace DETKIT_ISA {

// One block of 16 channels of a map, `stride` floats from one row to the next.
struct BlockedMap {
  float* pixels;
  size_t stride;
  float* row(int y) const { return pixels + static_cast<size_t>(y) * stride; }
};

// Rows of pixels are an odd number of cache lines apart, so that the pixels under one RoI fall into
// different sets of the cache.
inline size_t row_floats(int width) { return static_cast<size_t>(width | 1) * kBlock; }

// One block of channels of one RoI, with all that is needed to pool it.
struct Patch {
  int roi;
  size_t block;          // the channels are 16 * block and those after it,
  int channels;          // as many as this
  BlockedMap features;   // backward: set if the caller has given the features
  BlockedMap gradients;  // set backward only
  float* cells;          // (P, P, 16): the result, or its gradient
  float* column;         // (3, H, 16), memory to work in
};

inline size_t floats_of_map(const DetkitRoIs& geometry) {
  size_t most = 0;
  for (int level = 0; level < geometry.levels; ++level) {
    const size_t floats = geometry.height[level] * row_floats(geometry.width[level]);
    if (floats > most) most = floats;
  }
  return most;
}

inline size_t floats_of_column(const DetkitRoIs& geometry) {
  int rows = 0;
  for (int level = 0; level < geometry.levels; ++level) {
    if (geometry.height[level] > rows) rows = geometry.height[level];
  }
  return 3 * static_cast<size_t>(rows) * kBlock;
}

// The buffers of all threads.
class Buffers {
 public:
  Buffers(const DetkitRoIs& geometry, int threads, int maps)
      : map_(floats_of_map(geometry)),
        column_(floats_of_column(geometry)),
        per_thread_(maps * map_ + column_ +
                    static_cast<size_t>(geometry.size) * geometry.size * kBlock),
        floats_(per_thread_ * threads) {}

  float* map(int i) const { return of_thread() + i * map_; }
  float* column(int maps) const { return of_thread() + maps * map_; }
  float* cells(int maps) const { return column(maps) + column_; }

 private:
  float* of_thread() const { return floats_.get() + per_thread_ * this_thread(); }

  const size_t map_, column_, per_thread_;
  const Scratch<float> floats_;
};

// The 16 channels of one task: where they lie in the maps and in the pooled RoIs.
class Channels {
 public:
  Channels(const SortedRoIs& rois, const PoolTasks& tasks, size_t task)
      : chunk_(tasks.chunk(task)),
        first_(tasks.block(task) * kBlock),
        all_(rois.geometry().channels),
        cells_(rois.geometry().size * rois.geometry().size),
        level_(rois.level(chunk_.map)),
        plane_(static_cast<size_t>(chunk_.height) * chunk_.width),
        begin_((rois.image(chunk_.map) * all_ + first_) * plane_) {}

  int count() const { return all_ - first_ < kBlock ? static_cast<int>(all_ - first_) : kBlock; }

  void map_to_blocks(const float* const* maps, const BlockedMap& to) const {
    const float* planes = maps[level_] + begin_;
    chunk_.for_each_run([&](int y, int x, int pixels) {
      planes_to_blocks(planes + static_cast<size_t>(y) * chunk_.width + x, plane_, count(), pixels,
                       to.row(y) + static_cast<size_t>(x) * kBlock);
    });
  }

  // Every element of the planes is written.
  void blocks_to_map(const BlockedMap& from, float* const* maps) const {
    float* planes = maps[level_] + begin_;
    memset(planes, 0, count() * plane_ * sizeof(float));
    chunk_.for_each_run([&](int y, int x, int pixels) {
      blocks_to_planes(from.row(y) + static_cast<size_t>(x) * kBlock, pixels,
                       planes + static_cast<size_t>(y) * chunk_.width + x, plane_, count());
    });
  }

  void clear(const BlockedMap& map) const {
    chunk_.for_each_run([&](int y, int x, int pixels) {
      memset(map.row(y) + static_cast<size_t>(x) * kBlock, 0, pixels * sizeof(Block));
    });
  }

  void cells_to_planes(const float* cells, int roi, float* out) const {
    blocks_to_planes(cells, cells_, out + begin_of(roi), cells_, count());
  }

  void planes_to_cells(const float* pooled, int roi, float* cells) const {
    planes_to_blocks(pooled + begin_of(roi), cells_, count(), cells_, cells);
  }

  // The planes of an RoI are too short for the processor to prefetch them by itself.
  template <bool kToWrite>
  void prefetch(const float* pooled, int roi) const {
    const float* planes = pooled + begin_of(roi);
    for (int i = 0; i < count() * cells_; i += 16) __builtin_prefetch(planes + i, kToWrite);
  }

 private:
  size_t begin_of(int roi) const { return (roi * all_ + first_) * cells_; }

  const Chunk& chunk_;
  const size_t first_, all_;
  const int cells_, level_;
  const size_t plane_, begin_;
};

inline void clear_rois_of_no_image(const SortedRoIs& rois, float* out) {
  const DetkitRoIs& geometry = rois.geometry();
  const size_t row = static_cast<size_t>(geometry.channels) * geometry.size * geometry.size;
  for (int i = rois.begin(rois.maps()); i < rois.end(rois.maps()); ++i) {
    memset(out + rois.at(i) * row, 0, row * sizeof(float));
  }
}

// pool(patch) computes all of patch.cells from patch.features. It reads only the pixels of
// windows.window(patch.roi).
template <class Windows, class Pool>
int pool_forward(const SortedRoIs& rois, const Windows& windows, const float* const* features,
                 float* out, const Pool& pool) {
  const PoolTasks tasks(rois, false, windows);
  const Buffers buffers(rois.geometry(), tasks.threads(), 1);
#pragma omp parallel for schedule(dynamic) num_threads(tasks.threads()) if (tasks.threads() > 1)
  for (size_t task = 0; task < tasks.count(); ++task) {
    const Chunk& chunk = tasks.chunk(task);
    const Channels channels(rois, tasks, task);
    Patch patch = {};
    patch.block = tasks.block(task);
    patch.channels = channels.count();
    patch.features = {buffers.map(0), row_floats(chunk.width)};
    patch.column = buffers.column(1);
    patch.cells = buffers.cells(1);
    channels.map_to_blocks(features, patch.features);
    for (int i = chunk.begin; i < chunk.end; ++i) {
      patch.roi = rois.at(i);
      channels.prefetch<true>(out, patch.roi);
      pool(patch);
      channels.cells_to_planes(patch.cells, patch.roi, out);
    }
  }
  clear_rois_of_no_image(rois, out);
  return DETKIT_OK;
}

// spread(patch) adds what patch.cells, the gradient of an RoI, contribute to patch.gradients. If
// features is not null, patch.features are the pixels.
template <class Windows, class Spread>
int pool_backward(const SortedRoIs& rois, const Windows& windows, const float* const* features,
                  const float* grad_out, float* const* grad_features, const Spread& spread) {
  const PoolTasks tasks(rois, true, windows);
  const int maps = features ? 2 : 1;
  const Buffers buffers(rois.geometry(), tasks.threads(), maps);
#pragma omp parallel for schedule(dynamic) num_threads(tasks.threads()) if (tasks.threads() > 1)
  for (size_t task = 0; task < tasks.count(); ++task) {
    const Chunk& chunk = tasks.chunk(task);
    const Channels channels(rois, tasks, task);
    Patch patch = {};
    patch.block = tasks.block(task);
    patch.channels = channels.count();
    patch.gradients = {buffers.map(0), row_floats(chunk.width)};
    patch.features = {buffers.map(maps - 1), row_floats(chunk.width)};
    patch.column = buffers.column(maps);
    patch.cells = buffers.cells(maps);
    channels.clear(patch.gradients);
    if (features) channels.map_to_blocks(features, patch.features);
    for (int i = chunk.begin; i < chunk.end; ++i) {
      patch.roi = rois.at(i);
      channels.planes_to_cells(grad_out, patch.roi, patch.cells);
      if (i + 1 < chunk.end) channels.prefetch<false>(grad_out, rois.at(i + 1));
      spread(patch);
    }
    channels.blocks_to_map(patch.gradients, grad_features);
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit
