// The best of long lists, in order, by a merge sort that drops what cannot be among them.
//
// A list is a segment of 64-bit keys, all different (rank above, position below), ascending. Tiles
// of 2048 are sorted in shared memory (a bitonic network). Then runs are merged in pairs, and only
// the first `keep` keys of each result are written. So a list of 200 000 of which 2000 are wanted
// costs one sort of its tiles and about as much again for all merges together. Merging needs no
// cooperation: a key's place is its own position plus the number of smaller keys in the other run.
#pragma once

#include "launch.cuh"

namespace detkit {
namespace cuda {

constexpr int kTile = 2048;
constexpr int kTileThreads = 512;
constexpr uint32_t kLast = 0xffffffffu;  // the rank of rows that take no part

// The segments of all images: `groups` segments of each image, one after another.
struct Segments {
  int images, groups;
  int length[DETKIT_MAX_LEVELS];
  size_t start[DETKIT_MAX_LEVELS];  // of a group within its image
  size_t stride;                    // of an image

  Segments(int images_, int groups_, const int* lengths)
      : images(images_), groups(groups_), length{}, start{}, stride(0) {
    for (int g = 0; g < groups; ++g) {
      length[g] = lengths[g];
      start[g] = stride;
      stride += static_cast<size_t>(lengths[g]);
    }
  }
  int longest() const {
    int most = 0;
    for (int g = 0; g < groups; ++g) most = length[g] > most ? length[g] : most;
    return most;
  }
  int64_t count() const { return int64_t{images} * groups; }
  size_t keys() const { return static_cast<size_t>(images) * stride; }
};

// The rank of a finite number, the largest first; it is never kLast. Zeros of either sign are
// equal.
__device__ inline uint32_t descending(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return (bits & 0x80000000u) ? bits : ~(bits | 0x80000000u);
}
__device__ inline uint64_t make_key(uint32_t rank, uint32_t position) {
  return uint64_t{rank} << 32 | position;
}
__device__ inline uint32_t rank_of(uint64_t key) { return static_cast<uint32_t>(key >> 32); }
__device__ inline uint32_t position_of(uint64_t key) { return static_cast<uint32_t>(key); }

// One stage of the network: each thread puts two pairs that lie `stride` apart in order.
__device__ inline void exchange(uint64_t* keys, int size, int stride) {
  for (int pair = threadIdx.x; pair < kTile / 2; pair += kTileThreads) {
    const int low = 2 * pair - (pair & (stride - 1));
    const uint64_t a = keys[low], b = keys[low + stride];
    if ((a > b) == ((low & size) == 0)) {
      keys[low] = b;
      keys[low + stride] = a;
    }
  }
}

// key_of(image, group, i) returns key i of a segment.
template <class Key>
__global__ void sort_tiles(Key key_of, Segments segments, int tiles, uint64_t* out) {
  __shared__ uint64_t keys[kTile];
  const int tile = blockIdx.x % tiles, segment = blockIdx.x / tiles;
  const int image = segment / segments.groups, group = segment % segments.groups;
  const int first = tile * kTile, length = pick(segments.length, group);
  if (first >= length) return;
  for (int i = threadIdx.x; i < kTile; i += kTileThreads) {
    keys[i] = first + i < length ? key_of(image, group, first + i) : ~uint64_t{0};
  }
  for (int size = 2; size <= kTile; size *= 2) {
    for (int stride = size / 2; stride > 0; stride /= 2) {
      // Pairs at most 32 apart lie in 64 keys that only one warp has touched since the last stage.
      if (stride >= 32 || stride == size / 2) {
        __syncthreads();
      } else {
        __syncwarp();
      }
      exchange(keys, size, stride);
    }
  }
  __syncthreads();
  uint64_t* sorted = out + image * segments.stride + pick(segments.start, group) + first;
  for (int i = threadIdx.x; i < kTile && first + i < length; i += kTileThreads) sorted[i] = keys[i];
}

// The number of keys in run `run`, which stands for `span` keys of the list, of which at most
// `room` were kept.
__device__ inline int keys_in_run(int64_t run, int length, int64_t span, int room) {
  const int64_t left = length - run * span;
  return static_cast<int>(left < 0 ? 0 : left < room ? left : room);
}

// Merges runs 2k and 2k + 1 of `from`, each at k * room, into run k of `to`, at k * new_room.
static __global__ void merge_runs(Segments segments, int64_t span, int room, int new_room,
                                  int blocks, const uint64_t* from, uint64_t* to) {
  const int segment = blockIdx.x / blocks, group = segment % segments.groups;
  const int64_t i = int64_t{blockIdx.x % blocks} * blockDim.x + threadIdx.x;
  const int64_t run = i / room;
  const int own = static_cast<int>(i % room), length = pick(segments.length, group);
  if (own >= keys_in_run(run, length, span, room)) return;
  const size_t base = segment / segments.groups * segments.stride + pick(segments.start, group);
  const uint64_t key = from[base + i];
  const uint64_t* other = from + base + (run ^ 1) * room;
  int low = 0, high = keys_in_run(run ^ 1, length, span, room);
  while (low < high) {
    const int middle = (low + high) / 2;
    if (other[middle] < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (own + low < new_room) to[base + run / 2 * new_room + own + low] = key;
}

// Sorts the first `keep` keys of every segment; *sorted becomes a or b, whichever holds the result.
template <class Key>
int sort(Key key_of, const Segments& segments, int keep, uint64_t* a, uint64_t* b,
         const uint64_t** sorted, void* stream) {
  *sorted = a;
  const int longest = segments.longest();
  const int64_t tiles = divide_up(longest, kTile), count = segments.count();
  if (tiles == 0 || count == 0) return DETKIT_OK;
  DETKIT_TRY(launch(sort_tiles<Key>, tiles * count, kTileThreads, stream, key_of, segments,
                    static_cast<int>(tiles), a));
  const int most = keep > kTile ? keep : kTile;
  int room = kTile;
  for (int64_t span = kTile; span < longest; span *= 2) {
    const int new_room = room > most / 2 ? most : 2 * room;
    const int64_t runs = divide_up(longest, span), blocks = divide_up(runs * room, kThreads);
    DETKIT_TRY(launch(merge_runs, blocks * count, kThreads, stream, segments, span, room, new_room,
                      static_cast<int>(blocks), a, b));
    uint64_t* swap = a;
    a = b, b = swap, room = new_room;
  }
  *sorted = a;
  return DETKIT_OK;
}

}  // namespace cuda
}  // namespace detkit
