// The object that each box overlaps most: one thread per box, objects through shared memory in
// tiles.
//
// There are two passes over the pairs, because no box can tell whether it is an object's best
// before all boxes are compared. The first pass finds the best of each side. That of an object is a
// 64-bit atomicMax of (IoU, lowest index), within a block first and then once per block and object,
// whose result does not depend on the order. The second pass compares IoUs only for objects whose
// best is no larger than the box's own largest IoU, which are few of all pairs.
#include "boxes.cuh"

namespace detkit {
namespace cuda {
namespace {

constexpr int kObjects = 128;  // in a tile

typedef unsigned long long BestKey;  // IoU's bits above, ~index below; 0: nothing overlaps

struct MatchInput {
  DetkitMatch match;
  const float *boxes, *candidates, *objects, *labels;
  int blocks;  // of an image

  __device__ int image() const { return blockIdx.x / blocks; }
  __device__ int box() const { return blockIdx.x % blocks * kThreads + threadIdx.x; }
  __device__ size_t row() const { return static_cast<size_t>(image()) * match.boxes + box(); }
  __device__ size_t object(int g) const { return static_cast<size_t>(image()) * match.objects + g; }
};

// Padding has corners that overlap nothing.
struct Tile {
  Box box[kObjects];
  float area[kObjects];
  bool crowd[kObjects];
};

__device__ void load_tile(const MatchInput& in, int first, int count, Tile* tile) {
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const size_t g = in.object(first + i);
    const Box box = load_box(in.objects + 4 * g);
    const float label = in.labels[g];
    tile->crowd[i] = label == DETKIT_CROWD;
    const bool counts = (label >= 0.0f || tile->crowd[i]) && is_finite(box);
    tile->box[i] = counts ? box : Box{0.0f, 0.0f, 0.0f, 0.0f};
    tile->area[i] = area(tile->box[i]);
  }
}

// The box of this thread. If it takes no part, it is a box without area, which overlaps nothing.
__device__ Box own_box(const MatchInput& in) {
  const Box none = {0.0f, 0.0f, 0.0f, 0.0f};
  if (in.box() >= in.match.boxes) return none;
  if (in.candidates && in.candidates[in.row()] == 0.0f) return none;
  const size_t shared = static_cast<size_t>(in.box());
  const Box box = load_box(in.boxes + 4 * (in.match.shared_boxes ? shared : in.row()));
  return is_finite(box) ? box : none;
}

__device__ float positive(float value) { return value > 0.0f ? value : 0.0f; }  // NaN: 0

__global__ void find_best(MatchInput in, int32_t* out_index, float* out_iou, float* out_ignored,
                          BestKey* best) {
  __shared__ Tile tile;
  __shared__ BestKey best_box[kObjects];
  const Box box = own_box(in);
  const float own_area = area(box);
  float largest = 0.0f, ignored = 0.0f;
  int index = 0;
  for (int first = 0; first < in.match.objects; first += kObjects) {
    const int count = min(kObjects, in.match.objects - first);
    __syncthreads();
    load_tile(in, first, count, &tile);
    for (int i = threadIdx.x; i < count; i += kThreads) best_box[i] = 0;
    __syncthreads();
    for (int i = 0; i < count; ++i) {
      const float shared = overlap(box, tile.box[i]);
      if (!(shared > 0.0f)) continue;
      if (tile.crowd[i]) {
        ignored = fmaxf(ignored, positive(__fdiv_rn(shared, own_area)));
        continue;
      }
      const float value = positive(iou(shared, own_area, tile.area[i]));
      if (value > largest) largest = value, index = first + i;
      const BestKey key = BestKey{__float_as_uint(value)} << 32 | ~static_cast<uint32_t>(in.box());
      if (value > 0.0f && key > best_box[i]) atomicMax(&best_box[i], key);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += kThreads) {
      if (best_box[i]) atomicMax(&best[in.object(first + i)], best_box[i]);
    }
  }
  if (in.box() >= in.match.boxes) return;
  out_index[in.row()] = index;
  out_iou[in.row()] = largest;
  out_ignored[in.row()] = ignored;
}

__device__ float iou_of(BestKey best) { return __uint_as_float(static_cast<uint32_t>(best >> 32)); }

__global__ void mark_best(MatchInput in, const float* own_iou, const BestKey* best,
                          float* is_best) {
  __shared__ Tile tile;
  __shared__ float best_iou[kObjects];
  const Box box = own_box(in);
  const float own_area = area(box);
  const float largest = in.box() < in.match.boxes ? own_iou[in.row()] : 0.0f;
  bool found = false;
  for (int first = 0; first < in.match.objects; first += kObjects) {
    const int count = min(kObjects, in.match.objects - first);
    __syncthreads();
    load_tile(in, first, count, &tile);
    for (int i = threadIdx.x; i < count; i += kThreads) {
      best_iou[i] = iou_of(best[in.object(first + i)]);
    }
    __syncthreads();
    for (int i = 0; i < count; ++i) {
      if (!(best_iou[i] > 0.0f && best_iou[i] <= largest)) continue;
      const float shared = overlap(box, tile.box[i]);
      if (iou(shared, own_area, tile.area[i]) == best_iou[i]) found = true;
    }
  }
  if (in.box() < in.match.boxes) is_best[in.row()] = found ? 1.0f : 0.0f;
}

__global__ void write_objects(size_t count, const BestKey* best, int32_t* best_index,
                              float* best_iou) {
  const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  best_index[i] = best[i] ? static_cast<int32_t>(~static_cast<uint32_t>(best[i])) : -1;
  best_iou[i] = iou_of(best[i]);
}

size_t objects_of(const DetkitMatch& match) {
  return static_cast<size_t>(match.images) * static_cast<size_t>(match.objects);
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

size_t detkit_cuda_match_workspace(const DetkitMatch* match) {
  return detkit::is_valid(*match) ? objects_of(*match) * sizeof(BestKey) : 0;
}

int detkit_cuda_match(const DetkitMatch* match, const float* boxes, const float* candidates,
                      const float* objects, const float* labels, int32_t* index, float* iou,
                      float* is_best, float* ignored, int32_t* best_index, float* best_iou,
                      void* workspace, void* stream) {
  if (!detkit::is_valid(*match)) return DETKIT_BAD_ARGUMENT;
  const size_t count = objects_of(*match);
  BestKey* best = static_cast<BestKey*>(workspace);
  const int64_t blocks = divide_up(match->boxes, kThreads);
  const MatchInput in = {*match, boxes, candidates, objects, labels, static_cast<int>(blocks)};
  DETKIT_TRY(clear(best, count * sizeof(BestKey), stream));
  DETKIT_TRY(
      launch(find_best, blocks * match->images, kThreads, stream, in, index, iou, ignored, best));
  DETKIT_TRY(launch(mark_best, blocks * match->images, kThreads, stream, in,
                    static_cast<const float*>(iou), static_cast<const BestKey*>(best), is_best));
  return launch(write_objects, divide_up(static_cast<int64_t>(count), kThreads), kThreads, stream,
                count, static_cast<const BestKey*>(best), best_index, best_iou);
}
