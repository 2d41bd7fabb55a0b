// How an RoI operator is cut into tasks: a task is a chunk of the RoIs of one map, for one block of
// 16 channels. Maps are cut into tiles, of which only those under an RoI are copied.
#pragma once

#include <limits.h>
#include <string.h>

#include "channel_blocks.h"
#include "rois.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {

// Rows top..bottom-1 and columns left..right-1 of a map.
struct Window {
  int top, bottom, left, right;
};

inline size_t blocks_of(const DetkitRoIs& geometry) {
  return (static_cast<size_t>(geometry.channels) + kBlock - 1) / kBlock;
}

constexpr int kTile = 16;  // pixels, along a row

inline int tiles_of(int width) { return (width - 1) / kTile + 1; }

// RoIs begin..end-1 of the sorted RoIs, all on one map, and the tiles of that map that they touch.
struct Chunk {
  size_t map;
  int begin, end;
  int height, width;
  uint8_t* tiles;  // (height, tiles of a row)

  size_t plane() const { return static_cast<size_t>(height) * width; }

  void mark(const Window& window) const {
    if (window.left >= window.right) return;
    const int first = window.left / kTile, count = (window.right - 1) / kTile + 1 - first;
    for (int y = window.top; y < window.bottom; ++y) {
      memset(tiles + static_cast<size_t>(y) * tiles_of(width) + first, 1, count);
    }
  }

  // Calls use(y, x, count) for the pixels x..x+count-1 of neighbouring tiles that are touched.
  template <class Use>
  void for_each_run(const Use& use) const {
    const int tiles_of_row = tiles_of(width);
    for (int y = 0; y < height; ++y) {
      const uint8_t* row = tiles + static_cast<size_t>(y) * tiles_of_row;
      for (int begin = 0, end; begin < tiles_of_row; begin = end) {
        end = begin;
        while (end < tiles_of_row && row[end] == row[begin]) ++end;
        if (row[begin] == 0) continue;
        const int x = begin * kTile;
        use(y, x, (end == tiles_of_row ? width : end * kTile) - x);
      }
    }
  }
};

class PoolTasks {
 public:
  // Forward, a map without RoIs makes no task, and the RoIs of one map are cut into several chunks
  // if there are more threads than blocks. Backward, each map is one chunk. windows.window(roi) is
  // the part of the map that an RoI touches.
  template <class Windows>
  PoolTasks(const SortedRoIs& rois, bool backward, const Windows& windows)
      : geometry_(rois.geometry()),
        blocks_(blocks_of(geometry_)),
        threads_(is_large(backward) ? available_threads() : 1),
        chunks_(rois.maps() + geometry_.rois),
        tiles_(cut(rois, backward, backward ? INT_MAX : share(rois))) {
    size_t at = 0;
    for (size_t c = 0; c < chunk_count_; ++c) {
      chunks_[c].tiles = tiles_.get() + at;
      at += static_cast<size_t>(chunks_[c].height) * tiles_of(chunks_[c].width);
    }
    memset(tiles_.get(), 0, at);
    for (size_t c = 0; c < chunk_count_; ++c) {
      for (int i = chunks_[c].begin; i < chunks_[c].end; ++i) {
        chunks_[c].mark(windows.window(rois.at(i)));
      }
    }
  }

  size_t count() const { return chunk_count_ * blocks_; }
  const Chunk& chunk(size_t task) const { return chunks_[task / blocks_]; }
  size_t block(size_t task) const { return task % blocks_; }
  int threads() const {
    if (count() == 0) return 1;
    return count() < static_cast<size_t>(threads_) ? static_cast<int>(count()) : threads_;
  }

 private:
  bool is_large(bool backward) const {
    const size_t channels = geometry_.channels;
    size_t values = channels * geometry_.rois * geometry_.size * geometry_.size;
    for (int level = 0; level < geometry_.levels && backward; ++level) {
      values += channels * geometry_.images * geometry_.height[level] * geometry_.width[level];
    }
    return values > 100000;
  }

  // The largest number of RoIs of a chunk.
  int share(const SortedRoIs& rois) const {
    size_t maps = 0;
    int most = 1;
    for (size_t m = 0; m < rois.maps(); ++m) {
      const int count = rois.end(m) - rois.begin(m);
      maps += count > 0;
      if (count > most) most = count;
    }
    const size_t wanted = 4 * static_cast<size_t>(threads_);
    if (threads_ == 1 || maps * blocks_ == 0 || maps * blocks_ >= wanted) return INT_MAX;
    const int parts = static_cast<int>((wanted - 1) / (maps * blocks_)) + 1;
    const int part = (most - 1) / parts + 1;
    return part < 64 ? 64 : part;  // each chunk copies its own part of the map
  }

  // Makes the chunks. Returns how many tiles they have together.
  size_t cut(const SortedRoIs& rois, bool backward, int share) {
    size_t tiles = 0;
    for (size_t m = 0; m < rois.maps(); ++m) {
      const int level = rois.level(m), height = geometry_.height[level];
      const int width = geometry_.width[level];
      int begin = rois.begin(m);
      do {
        const int rest = rois.end(m) - begin, end = begin + (rest < share ? rest : share);
        if (begin == end && !backward) break;
        chunks_[chunk_count_++] = {m, begin, end, height, width, nullptr};
        tiles += static_cast<size_t>(height) * tiles_of(width);
        begin = end;
      } while (begin < rois.end(m));
    }
    return tiles;
  }

  const DetkitRoIs& geometry_;
  const size_t blocks_;
  const int threads_;
  size_t chunk_count_ = 0;
  Scratch<Chunk> chunks_;
  Scratch<uint8_t> tiles_;
};

}  // namespace DETKIT_ISA
}  // namespace detkit
