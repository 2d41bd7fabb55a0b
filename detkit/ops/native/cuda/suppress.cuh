// Greedy suppression of lists of boxes that are already in order, wholly on the device.
//
// A list is processed in bands of up to 4096 boxes, so that memory and work do not grow with the
// square of its length. In each band, the boxes that a kept box of an earlier band overlaps are
// removed. Then each box gets a 64-bit word for each earlier tile of 64 boxes, which says which of
// those overlap it. Then one block per list sweeps over the tiles. Within a tile all boxes decide
// together: a box is kept when no undecided or kept box before it overlaps it, so that there are as
// many rounds as the longest chain of overlaps, not 64. If a list has ended, or enough of it is
// kept, each further band costs a look at two numbers.
//
// The masks are those of Faster R-CNN's GPU NMS (Ren 2015), transposed: a box knows the boxes
// before it. This makes the reads of the sweep coalesced and needs no pass over the boxes it
// removes.
#pragma once

#include "boxes.cuh"

namespace detkit {
namespace cuda {

constexpr int kWord = 64;  // boxes in a tile, bits in a word
constexpr int kBandTiles = 64;
constexpr int kSweepThreads = 1024;

inline int tiles_of(int boxes) { return static_cast<int>(divide_up(boxes, kWord)); }

struct Suppression {
  int64_t lists;
  int capacity;  // the largest number of boxes of a list
  int most;      // the largest number that is kept of a list
  float iou;     // boxes are dropped above it; it is not negative
  int tiles, band_tiles;

  const Box* boxes;        // (lists, tiles * 64), best first
  const uint32_t* labels;  // the same, label_bits; null: all boxes are rivals
  const int* count;        // (lists): the number of boxes
  uint64_t* alive;         // (lists, tiles): bit i of a word for box i of a tile
  uint64_t* before;        // (lists, band_tiles, band_tiles * 64): overlaps with a tile before
  int* kept;               // (lists, most): positions in the list, best first
  int* kept_count;         // (lists)

  Suppression(int64_t lists_, int capacity_, int most_, float iou_)
      : lists(lists_),
        capacity(capacity_),
        most(most_),
        iou(iou_),
        tiles(tiles_of(capacity_)),
        band_tiles(tiles < kBandTiles ? tiles : kBandTiles),
        boxes(nullptr),
        labels(nullptr),
        count(nullptr),
        alive(nullptr),
        before(nullptr),
        kept(nullptr),
        kept_count(nullptr) {}
  __host__ __device__ size_t slots() const { return static_cast<size_t>(lists) * tiles * kWord; }
  void take(Arena* arena) {
    const size_t all = static_cast<size_t>(lists);
    alive = arena->take<uint64_t>(all * tiles);
    before = arena->take<uint64_t>(all * band_tiles * band_tiles * kWord);
    kept = arena->take<int>(all * most);
    kept_count = arena->take<int>(all);
  }
};

struct Rivals {
  Box box[kWord];
  float area[kWord];
  uint32_t label[kWord];
};

__device__ inline void load_rival(const Suppression& s, size_t slot, Rivals* rivals, int i) {
  const Box box = s.boxes[slot];
  rivals->box[i] = box;
  rivals->area[i] = area(box);
  rivals->label[i] = s.labels ? s.labels[slot] : 0;
}

// Bit i is set if rival i, of the first `rivals_count`, overlaps the box.
__device__ inline uint64_t overlapping(const Suppression& s, size_t slot, const Rivals& rivals,
                                       int rivals_count) {
  const Box box = s.boxes[slot];
  const float own_area = area(box);
  const uint32_t label = s.labels ? s.labels[slot] : 0;
  uint64_t word = 0;
  for (int i = 0; i < rivals_count; ++i) {
    if (rivals.label[i] != label) continue;
    const float shared = overlap(box, rivals.box[i]);
    // Most boxes do not touch, and need no division.
    if (!(shared > 0.0f)) continue;
    if (iou(shared, own_area, rivals.area[i]) > s.iou) word |= uint64_t{1} << i;
  }
  return word;
}

// Removes from a band what a tile of the boxes kept before it overlaps. A block of 64 threads
// belongs to a list, a tile of the band and a tile of the kept boxes.
static __global__ void strike_out(Suppression s, int band, int kept_tiles) {
  __shared__ Rivals rivals;
  const int kept_tile = blockIdx.x % kept_tiles;
  const int tile = band + blockIdx.x / kept_tiles % s.band_tiles;
  const int list = blockIdx.x / kept_tiles / s.band_tiles;
  const int kept_count = s.kept_count[list], first = kept_tile * kWord;
  if (tile >= s.tiles || first >= kept_count || kept_count >= s.most) return;
  if (tile * kWord >= s.count[list]) return;
  const size_t slots = static_cast<size_t>(list) * s.tiles * kWord;
  const int rivals_count = min(kept_count - first, kWord);
  if (static_cast<int>(threadIdx.x) < rivals_count) {
    const int position = s.kept[static_cast<size_t>(list) * s.most + first + threadIdx.x];
    load_rival(s, slots + position, &rivals, threadIdx.x);
  }
  __syncthreads();
  const size_t slot = slots + static_cast<size_t>(tile) * kWord + threadIdx.x;
  const bool struck = overlapping(s, slot, rivals, rivals_count) != 0;
  const uint64_t word = uint64_t{__ballot_sync(kWarp, struck)} << (threadIdx.x & 32);
  if (threadIdx.x % 32 == 0 && word) {
    unsigned long long* alive =
        reinterpret_cast<unsigned long long*>(s.alive) + static_cast<size_t>(list) * s.tiles + tile;
    atomicAnd(alive, ~static_cast<unsigned long long>(word));
  }
}

// Fills `before` of a band. A block of 64 threads belongs to a list, a tile, and a tile not after
// it.
static __global__ void compare_band(Suppression s, int band) {
  __shared__ Rivals rivals;
  const int earlier = blockIdx.x % s.band_tiles;
  const int own = blockIdx.x / s.band_tiles % s.band_tiles;
  const int list = blockIdx.x / s.band_tiles / s.band_tiles;
  if (earlier > own || (band + own) * kWord >= s.count[list]) return;
  if (band > 0 && s.kept_count[list] >= s.most) return;
  const size_t slots = (static_cast<size_t>(list) * s.tiles + band) * kWord;
  load_rival(s, slots + earlier * kWord + threadIdx.x, &rivals, threadIdx.x);
  __syncthreads();
  uint64_t word = overlapping(s, slots + own * kWord + threadIdx.x, rivals, kWord);
  if (own == earlier) word &= (uint64_t{1} << threadIdx.x) - 1;
  s.before[(static_cast<size_t>(list) * s.band_tiles + earlier) * s.band_tiles * kWord +
           own * kWord + threadIdx.x] = word;
}

__device__ inline uint64_t ballot(bool low, bool high) {
  const uint64_t lows = __ballot_sync(kWarp, low);
  return lows | uint64_t{__ballot_sync(kWarp, high)} << 32;
}

// The boxes of a tile that are kept, decided by one warp: each lane has box `lane` and box lane +
// 32; low and high are the words of the boxes of the tile itself that overlap them.
__device__ inline uint64_t decide(uint64_t open, uint64_t low, uint64_t high) {
  const int lane = threadIdx.x % 32;
  uint64_t kept = 0;
  while (open) {
    const uint64_t against = open | kept;
    kept |= ballot((open >> lane & 1) && !(low & against),
                   (open >> (lane + 32) & 1) && !(high & against));
    open &= ~(kept | ballot(low & kept, high & kept));
  }
  return kept;
}

// Finds the boxes of tile `own` that kept boxes of earlier tiles of the band overlap. Each warp
// looks at its share of those tiles and adds to *struck, in shared memory.
__device__ inline void strike_tile(const uint64_t* before, size_t row, int own,
                                   const uint64_t* kept, unsigned long long* struck) {
  const int lane = threadIdx.x % 32;
  bool low = false, high = false;
  for (int earlier = threadIdx.x / 32; earlier < own; earlier += kSweepThreads / 32) {
    if (!kept[earlier]) continue;
    const uint64_t* words = before + earlier * row + static_cast<size_t>(own) * kWord;
    low = low || (words[lane] & kept[earlier]);
    high = high || (words[lane + 32] & kept[earlier]);
  }
  const uint64_t word = ballot(low, high);
  if (lane == 0 && word) atomicOr(struck, static_cast<unsigned long long>(word));
}

// One block per list decides the tiles of a band in order and adds what is kept to the list's.
static __global__ void sweep(Suppression s, int band) {
  __shared__ uint64_t kept[kBandTiles];
  __shared__ unsigned long long struck[kBandTiles];
  __shared__ int shared_total;
  const int list = blockIdx.x, lane = threadIdx.x % 32;
  const int count = s.count[list], tiles = min(s.band_tiles, (count + kWord - 1) / kWord - band);
  int total = band > 0 ? s.kept_count[list] : 0;
  const size_t row = static_cast<size_t>(s.band_tiles) * kWord;
  const uint64_t* before = s.before + list * s.band_tiles * row;
  const uint64_t* alive = s.alive + static_cast<size_t>(list) * s.tiles + band;
  int* out = s.kept + static_cast<size_t>(list) * s.most;
  if (threadIdx.x < kBandTiles) struck[threadIdx.x] = 0;
  __syncthreads();
  for (int own = 0; own < tiles && total < s.most; ++own) {
    strike_tile(before, row, own, kept, &struck[own]);
    __syncthreads();
    if (threadIdx.x < 32) {
      const uint64_t* words = before + own * row + static_cast<size_t>(own) * kWord;
      const uint64_t chosen = decide(alive[own] & ~struck[own], words[lane], words[lane + 32]);
      for (int i = lane; i < kWord; i += 32) {
        const int place = total + __popcll(chosen & ((uint64_t{1} << i) - 1));
        if ((chosen >> i & 1) && place < s.most) out[place] = (band + own) * kWord + i;
      }
      if (lane == 0) {
        kept[own] = chosen;
        shared_total = min(total + __popcll(chosen), s.most);
      }
    }
    __syncthreads();
    total = shared_total;
  }
  if (threadIdx.x == 0) s.kept_count[list] = total;
}

inline int suppress(const Suppression& s, void* stream) {
  for (int band = 0; band < s.tiles; band += s.band_tiles) {
    const int earlier = band * kWord < s.most ? band * kWord : s.most;
    if (band > 0) {
      const int kept_tiles = tiles_of(earlier);
      DETKIT_TRY(launch(strike_out, s.lists * s.band_tiles * kept_tiles, kWord, stream, s, band,
                        kept_tiles));
    }
    DETKIT_TRY(launch(compare_band, s.lists * s.band_tiles * s.band_tiles, kWord, stream, s, band));
    DETKIT_TRY(launch(sweep, s.lists, kSweepThreads, stream, s, band));
  }
  return DETKIT_OK;
}

}  // namespace cuda
}  // namespace detkit
