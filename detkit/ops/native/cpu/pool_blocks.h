// What the RoI operators have in common: blocks of 16 channels of one map are pooled one by one.
//
// The pixels of a block that lie under any RoI are brought into a buffer of (pixels, 16), which
// stays in the caches; then one RoI after the other is pooled from it, and its cells, (P, P, 16),
// are turned into planes, which lie side by side in the result. Few RoIs on a large map cost what
// they cover, no more. Backward, gradients are added up in such a buffer, RoI by RoI in their
// order, and leave it once: every element is written by one thread, and no sum depends on the
// number of threads.
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

// Rows of pixels an odd number of cache lines apart: those under one RoI fall into different sets.
inline size_t row_floats(int width) { return static_cast<size_t>(width | 1) * kBlock; }

// One block of channels of one RoI: all that pooling it needs.
struct Patch {
  int roi;
  size_t block;          // the channels 16 * block and on ...
  int channels;          // ... of which so many exist
  BlockedMap features;   // backward: where the caller has them
  BlockedMap gradients;  // backward
  float* cells;          // (P, P, 16): the result, or its gradient
  float* column;         // (3, H, 16), to be used as one likes
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

// The 16 channels of one task: where they are in the maps and in the pooled RoIs.
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

  // An RoI's planes are too few cache lines in a row for the processor to see them coming.
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

// pool(patch) computes all of patch.cells from patch.features, of which it reads what
// windows.window(patch.roi) says.
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

// spread(patch) adds what patch.cells, the gradient of an RoI, contributes to patch.gradients;
// patch.features are the pixels, unless features is null.
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
