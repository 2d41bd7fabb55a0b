// Region proposals of all levels and images at once. Each step is one kernel over all lists, of
// which there is one for each level of an image: sort and cut, decode, suppress, sort the rest,
// write.
#include "sort.cuh"
#include "suppress.cuh"

namespace detkit {
namespace cuda {
namespace {

int at_most(int count, int limit) { return limit < count ? limit : count; }

struct Levels {
  DetkitLevel level[DETKIT_MAX_LEVELS];
};

Segments anchors_of(const DetkitProposals& p, const DetkitLevel* levels) {
  int lengths[DETKIT_MAX_LEVELS];
  for (int i = 0; i < p.levels; ++i) lengths[i] = levels[i].anchors;
  return Segments(p.images, p.levels, lengths);
}

struct ProposalsPlan {
  Segments anchors;
  int entering;  // of a level, at most
  Suppression lists;
  int merged;     // the largest number of boxes of an image that leave the lists
  Segments ends;  // (B), the lists of these boxes
  uint64_t *keys, *other_keys, *end_keys, *other_end_keys;
  Box* boxes;
  int* count;
  size_t bytes;

  ProposalsPlan(const DetkitProposals& p, const DetkitLevel* levels, void* memory)
      : anchors(anchors_of(p, levels)),
        entering(at_most(anchors.longest(), p.pre_nms)),
        // More than post_nms of a level cannot be among the best post_nms of all.
        lists(anchors.count(), entering, at_most(entering, p.post_nms), p.iou),
        merged(p.levels * lists.most),
        ends(p.images, 1, &merged) {
    Arena arena(memory);
    keys = arena.take<uint64_t>(anchors.keys());
    other_keys = arena.take<uint64_t>(anchors.keys());
    end_keys = arena.take<uint64_t>(ends.keys());
    other_end_keys = arena.take<uint64_t>(ends.keys());
    lists.boxes = boxes = arena.take<Box>(lists.slots());
    lists.count = count = arena.take<int>(static_cast<size_t>(lists.lists));
    lists.take(&arena);
    bytes = arena.used();
  }
};

// The levels of a call are a kernel's parameter, so that there is a limit to their number.
bool can_propose(const DetkitProposals& p, const DetkitLevel* levels) {
  return is_valid(p, levels) && p.levels <= DETKIT_MAX_LEVELS;
}

struct ObjectnessKey {
  Levels levels;

  __device__ uint64_t operator()(int image, int level, int i) const {
    const DetkitLevel& own = levels.level[level];
    const float logit = own.objectness[static_cast<size_t>(image) * own.anchors + i];
    return make_key(is_finite(logit) ? descending(logit) : kLast, static_cast<uint32_t>(i));
  }
};

__device__ float clip(float value, float limit) {
  const float positive = value > 0.0f ? value : 0.0f;
  return positive < limit ? positive : limit;
}

// Decodes one axis of a box, operation by operation as on the CPU. The comparisons let NaN through,
// as fminf would not.
__device__ void decode_side(float low, float high, float shift, float log_scale, float limit,
                            float* out_low, float* out_high, bool* finite) {
  const float middle = (low + high) * 0.5f, side = high - low;
  const float centre = __fadd_rn(__fmul_rn(shift, side), middle);
  const float clamped = log_scale > DETKIT_MAX_LOG_SCALE ? DETKIT_MAX_LOG_SCALE : log_scale;
  const float half = __fmul_rn(__fmul_rn(expf(clamped), side), 0.5f);
  const float first = __fsub_rn(centre, half), last = __fadd_rn(centre, half);
  *finite = *finite && is_finite(first) && is_finite(last);
  *out_low = clip(first, limit);
  *out_high = clip(last, limit);
}

// Decodes the proposal of an anchor, clipped to the image. Returns false if it is not one.
__device__ bool decode(const DetkitProposals& p, const DetkitLevel& level, int image, uint32_t i,
                       const float* sizes, Box* box) {
  const Box anchor = load_box(level.boxes + 4 * static_cast<size_t>(i));
  const float* deltas = level.deltas + 4 * (static_cast<size_t>(image) * level.anchors + i);
  bool good = true;
  decode_side(anchor.x1, anchor.x2, deltas[0] / p.weights[0], deltas[2] / p.weights[2],
              sizes[2 * image + 1], &box->x1, &box->x2, &good);
  decode_side(anchor.y1, anchor.y2, deltas[1] / p.weights[1], deltas[3] / p.weights[3],
              sizes[2 * image], &box->y1, &box->y2, &good);
  const float smallest =
      p.min_size > DETKIT_MIN_PROPOSAL_SIDE ? p.min_size : DETKIT_MIN_PROPOSAL_SIDE;
  return good && box->x2 - box->x1 >= smallest && box->y2 - box->y1 >= smallest;
}

// Decodes the best anchors in order, one thread each; a warp writes half a word of `alive`.
__global__ void gather(DetkitProposals p, Levels levels, ProposalsPlan plan, const uint64_t* keys,
                       const float* sizes) {
  const size_t slot = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (slot >= plan.lists.slots()) return;  // whole warps
  const size_t per_list = static_cast<size_t>(plan.lists.tiles) * kWord;
  const int list = static_cast<int>(slot / per_list), i = static_cast<int>(slot % per_list);
  const int image = list / p.levels, group = list % p.levels;
  const DetkitLevel& level = levels.level[group];
  const uint64_t* own = keys + image * plan.anchors.stride + pick(plan.anchors.start, group);
  const int entering = min(level.anchors, plan.entering);
  const bool takes_part = i < entering && rank_of(own[i]) != kLast;
  Box box = {0.0f, 0.0f, 0.0f, 0.0f};
  bool good = false;
  if (takes_part) {
    good = decode(p, level, image, position_of(own[i]), sizes, &box);
    if (i + 1 == entering || rank_of(own[i + 1]) == kLast) plan.count[list] = i + 1;
  } else if (i == 0) {
    plan.count[list] = 0;
  }
  plan.boxes[slot] = box;
  const uint32_t word = __ballot_sync(kWarp, good);
  if (threadIdx.x % 32 == 0) reinterpret_cast<uint32_t*>(plan.lists.alive)[slot / 32] = word;
}

// The boxes that the lists of an image kept, with room for `most` boxes of each list.
struct Kept {
  Levels levels;
  Segments anchors;
  Suppression lists;
  const uint64_t* keys;  // of the anchors, sorted

  __device__ bool find(int image, uint32_t i, size_t* slot, float* score) const {
    const int group = static_cast<int>(i) / lists.most, place = static_cast<int>(i) % lists.most;
    const size_t list = static_cast<size_t>(image) * anchors.groups + group;
    if (place >= lists.kept_count[list]) return false;
    const int position = lists.kept[list * lists.most + place];
    const uint64_t key = keys[image * anchors.stride + pick(anchors.start, group) + position];
    const DetkitLevel& level = levels.level[group];
    const double logit =
        level.objectness[static_cast<size_t>(image) * level.anchors + position_of(key)];
    *slot = list * lists.tiles * kWord + position;
    // In double, rounded once: equal scores must not depend on the device's expf.
    *score = static_cast<float>(1.0 / (1.0 + exp(-logit)));
    return true;
  }
  __device__ uint64_t operator()(int image, int, int i) const {
    size_t slot;
    float score;
    const uint32_t position = static_cast<uint32_t>(i);
    return make_key(find(image, position, &slot, &score) ? descending(score) : kLast, position);
  }
};

__global__ void write(Kept kept, const uint64_t* keys, int per_image, int rows, float* out_boxes,
                      float* out_scores) {
  const size_t out = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const size_t image = out / rows;
  if (image >= static_cast<size_t>(kept.anchors.images)) return;
  const uint64_t key = keys[image * per_image + out % rows];
  Box box = {0.0f, 0.0f, 0.0f, 0.0f};
  float score = -1.0f;
  size_t slot;
  if (kept.find(static_cast<int>(image), position_of(key), &slot, &score)) {
    box = kept.lists.boxes[slot];
  }
  store_box(out_boxes + 4 * out, box);
  out_scores[out] = score;
}

int rows_of(const DetkitProposals& p, const DetkitLevel* levels) {
  int64_t rows = 0;
  for (int i = 0; i < p.levels; ++i) rows += at_most(levels[i].anchors, p.pre_nms);
  return static_cast<int>(p.post_nms < rows ? p.post_nms : rows);
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

size_t detkit_cuda_proposals_workspace(const DetkitProposals* p, const DetkitLevel* levels) {
  return can_propose(*p, levels) ? ProposalsPlan(*p, levels, nullptr).bytes : 0;
}

int detkit_cuda_proposals(const DetkitProposals* p, const DetkitLevel* levels, const float* sizes,
                          float* out_boxes, float* out_scores, void* workspace, void* stream) {
  if (!can_propose(*p, levels)) return DETKIT_BAD_ARGUMENT;
  const int rows = rows_of(*p, levels);
  if (p->images == 0 || rows == 0) return DETKIT_OK;
  const ProposalsPlan plan(*p, levels, workspace);
  Levels own = {};
  for (int i = 0; i < p->levels; ++i) own.level[i] = levels[i];
  const uint64_t *keys, *end_keys;
  DETKIT_TRY(sort(ObjectnessKey{own}, plan.anchors, plan.entering, plan.keys, plan.other_keys,
                  &keys, stream));
  DETKIT_TRY(launch(gather, divide_up(static_cast<int64_t>(plan.lists.slots()), kThreads), kThreads,
                    stream, *p, own, plan, keys, sizes));
  DETKIT_TRY(suppress(plan.lists, stream));
  const Kept kept = {own, plan.anchors, plan.lists, keys};
  DETKIT_TRY(sort(kept, plan.ends, rows, plan.end_keys, plan.other_end_keys, &end_keys, stream));
  return launch(write, divide_up(int64_t{p->images} * rows, kThreads), kThreads, stream, kept,
                end_keys, plan.merged, rows, out_boxes, out_scores);
}
