// Non-maximum suppression of images: sort, gather, suppress (suppress.cuh), write.
//
// Soft-NMS uses one block per image: every round decays the scores by the last box picked and finds
// the next best box in the same pass over them.
#include "sort.cuh"
#include "suppress.cuh"

namespace detkit {
namespace cuda {
namespace {

constexpr int kSoftThreads = 512;
constexpr float kDropped = -INFINITY;

int at_most(int count, int limit) { return limit < 0 || limit > count ? count : limit; }

struct NmsInput {
  const float *boxes, *scores, *labels;
  int count;  // N
};

struct NmsPlan {
  Segments segments;
  int entering;
  Suppression hard;
  uint64_t *keys, *other_keys;
  Box* boxes;
  uint32_t* labels;
  int* count;
  float* scores;   // soft: (B, entering), decayed so far
  float* decayed;  // soft: (B, most), of the boxes kept
  size_t bytes;

  NmsPlan(const DetkitNms& nms, void* memory)
      : segments(nms.images, 1, &nms.boxes),
        entering(at_most(nms.boxes, nms.top_k_in)),
        hard(nms.images, entering, at_most(entering, nms.top_k_out), nms.iou),
        scores(nullptr),
        decayed(nullptr) {
    Arena arena(memory);
    keys = arena.take<uint64_t>(segments.keys());
    other_keys = arena.take<uint64_t>(segments.keys());
    hard.boxes = boxes = arena.take<Box>(hard.slots());
    labels = arena.take<uint32_t>(hard.slots());
    hard.count = count = arena.take<int>(static_cast<size_t>(nms.images));
    if (nms.mode == DETKIT_NMS_HARD) {
      hard.take(&arena);
    } else {
      const size_t images = static_cast<size_t>(nms.images);
      hard.kept = arena.take<int>(images * hard.most);
      hard.kept_count = arena.take<int>(images);
      scores = arena.take<float>(hard.slots());
      decayed = arena.take<float>(images * hard.most);
    }
    bytes = arena.used();
  }
};

struct ScoreKey {
  NmsInput in;

  __device__ uint64_t operator()(int image, int, int i) const {
    const size_t row = static_cast<size_t>(image) * in.count + i;
    const float score = in.scores[row];
    const bool takes_part =
        is_finite(score) && score >= 0.0f && is_finite(load_box(in.boxes + 4 * row));
    return make_key(takes_part ? descending(score) : kLast, static_cast<uint32_t>(i));
  }
};

// The row of the i-th key of an image.
__device__ size_t row_of(const NmsInput& in, const uint64_t* keys, int image, int i) {
  const size_t first = static_cast<size_t>(image) * in.count;
  return first + position_of(keys[first + i]);
}

// Gathers boxes, labels and scores in order, one thread each; a warp writes half a word of `alive`.
__global__ void gather(NmsInput in, NmsPlan plan, const uint64_t* keys) {
  const size_t slot = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (slot >= plan.hard.slots()) return;  // whole warps
  const size_t per_image = static_cast<size_t>(plan.hard.tiles) * kWord;
  const int image = static_cast<int>(slot / per_image), i = static_cast<int>(slot % per_image);
  const uint64_t* own = keys + static_cast<size_t>(image) * in.count;
  const bool takes_part = i < plan.entering && rank_of(own[i]) != kLast;
  Box box = {0.0f, 0.0f, 0.0f, 0.0f};
  uint32_t label = 0;
  float score = kDropped;
  if (takes_part) {
    const size_t row = row_of(in, keys, image, i);
    box = load_box(in.boxes + 4 * row);
    label = in.labels ? label_bits(in.labels[row]) : 0;
    score = in.scores[row];
    if (i + 1 == plan.entering || rank_of(own[i + 1]) == kLast) plan.count[image] = i + 1;
  } else if (i == 0) {
    plan.count[image] = 0;
  }
  plan.boxes[slot] = box;
  plan.labels[slot] = label;
  if (plan.scores) plan.scores[slot] = score;
  const uint32_t word = __ballot_sync(kWarp, takes_part);
  if (plan.hard.alive && threadIdx.x % 32 == 0) {
    reinterpret_cast<uint32_t*>(plan.hard.alive)[slot / 32] = word;
  }
}

// Returns the largest of a block's keys to all its threads. Two calls need a barrier between them.
__device__ uint64_t largest(uint64_t key) {
  __shared__ uint64_t warps[kSoftThreads / 32];
  for (int distance = 16; distance > 0; distance /= 2) {
    const uint64_t other = __shfl_xor_sync(kWarp, key, distance);
    if (other > key) key = other;
  }
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = key;
  __syncthreads();
  for (int warp = 0; warp < kSoftThreads / 32; ++warp) {
    if (warps[warp] > key) key = warps[warp];
  }
  return key;
}

__device__ float decay(const DetkitNms& nms, const Box& box, const Box& picked) {
  const float value = iou(overlap(box, picked), area(box), area(picked));
  if (value != value) return 1.0f;
  if (nms.mode == DETKIT_NMS_LINEAR) return value > nms.iou ? 1.0f - value : 1.0f;
  return expf(-value * value / nms.sigma);
}

__global__ void soften(DetkitNms nms, NmsInput in, NmsPlan plan, const uint64_t* keys) {
  __shared__ int shared_picked;
  const int image = blockIdx.x, count = plan.count[image], most = plan.hard.most;
  const size_t first = static_cast<size_t>(image) * plan.hard.tiles * kWord;
  const Box* boxes = plan.boxes + first;
  const uint32_t* labels = plan.labels + first;
  const uint64_t* own_keys = keys + static_cast<size_t>(image) * in.count;
  float* scores = plan.scores + first;
  int picked = -1, kept = 0;
  for (; kept < most; ++kept) {
    uint64_t best = 0;
    int best_at = 0;
    for (int i = threadIdx.x; i < count; i += kSoftThreads) {
      float score = scores[i];
      if (score == kDropped) continue;
      if (picked >= 0 && labels[i] == labels[picked]) {
        score = i == picked ? kDropped : score * decay(nms, boxes[i], boxes[picked]);
      }
      if (score < nms.min_score) score = kDropped;
      scores[i] = score;
      if (score == kDropped) continue;
      const uint64_t key = make_key(~descending(score), ~position_of(own_keys[i]));
      if (key > best) best = key, best_at = i;
    }
    const uint64_t winner = largest(best);
    if (winner == 0) break;
    if (best == winner) {  // holds in one thread, because keys differ
      shared_picked = best_at;
      plan.hard.kept[static_cast<size_t>(image) * most + kept] = best_at;
      plan.decayed[static_cast<size_t>(image) * most + kept] = scores[best_at];
    }
    __syncthreads();
    picked = shared_picked;
  }
  if (threadIdx.x == 0) plan.hard.kept_count[image] = kept;
}

__global__ void write(NmsInput in, NmsPlan plan, const uint64_t* keys, int rows, float* out_boxes,
                      float* out_scores, float* out_labels, int32_t* out_index) {
  const size_t out = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (out >= static_cast<size_t>(plan.segments.images) * rows) return;
  const int image = static_cast<int>(out / rows), i = static_cast<int>(out % rows);
  Box box = {0.0f, 0.0f, 0.0f, 0.0f};
  float score = -1.0f, label = -1.0f;
  int32_t index = -1;
  if (i < plan.hard.kept_count[image]) {
    const size_t place = static_cast<size_t>(image) * plan.hard.most + i;
    const size_t row = row_of(in, keys, image, plan.hard.kept[place]);
    box = load_box(in.boxes + 4 * row);
    score = plan.decayed ? plan.decayed[place] : in.scores[row];
    label = in.labels ? in.labels[row] : 0.0f;
    index = static_cast<int32_t>(row - static_cast<size_t>(image) * in.count);
  }
  store_box(out_boxes + 4 * out, box);
  out_scores[out] = score;
  out_labels[out] = label;
  out_index[out] = index;
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

size_t detkit_cuda_nms_workspace(const DetkitNms* nms) {
  return detkit::is_valid(*nms) ? NmsPlan(*nms, nullptr).bytes : 0;
}

int detkit_cuda_nms(const DetkitNms* nms, const float* boxes, const float* scores,
                    const float* labels, float* out_boxes, float* out_scores, float* out_labels,
                    int32_t* out_index, void* workspace, void* stream) {
  if (!detkit::is_valid(*nms)) return DETKIT_BAD_ARGUMENT;
  const int rows = at_most(nms->boxes, nms->top_k_out);
  if (nms->images == 0 || rows == 0) return DETKIT_OK;
  NmsPlan plan(*nms, workspace);
  plan.hard.labels = labels ? plan.labels : nullptr;
  const NmsInput in = {boxes, scores, labels, nms->boxes};
  const int64_t slots = static_cast<int64_t>(plan.hard.slots());
  const uint64_t* keys = nullptr;
  if (plan.entering == 0) {
    DETKIT_TRY(clear(plan.hard.kept_count, sizeof(int) * nms->images, stream));
  } else {
    DETKIT_TRY(sort(ScoreKey{in}, plan.segments, plan.entering, plan.keys, plan.other_keys, &keys,
                    stream));
    DETKIT_TRY(launch(gather, divide_up(slots, kThreads), kThreads, stream, in, plan, keys));
    if (nms->mode == DETKIT_NMS_HARD) {
      DETKIT_TRY(suppress(plan.hard, stream));
    } else {
      DETKIT_TRY(launch(soften, nms->images, kSoftThreads, stream, *nms, in, plan, keys));
    }
  }
  return launch(write, divide_up(static_cast<int64_t>(nms->images) * rows, kThreads), kThreads,
                stream, in, plan, keys, rows, out_boxes, out_scores, out_labels, out_index);
}
