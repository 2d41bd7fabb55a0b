// Region proposals (Ren et al. 2015, section 3.3).
//
// A level of an image is one piece of work: its anchors are ranked by objectness (rank.h), and only
// the best are decoded, clipped and suppressed (greedy_nms.h), until as many are kept as can leave.
// Then the levels of an image are ranked together.
#include <math.h>

#include "../checks.h"
#include "greedy_nms.h"
#include "rank.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

size_t least(size_t a, size_t b) { return a < b ? a : b; }

struct ProposalsWorkspace {
  ProposalsWorkspace(Arena* arena, size_t capacity)
      : ranked(arena->take<Ranked>(capacity)),
        spare(arena->take<Ranked>(capacity)),
        greedy(arena, capacity) {}

  Ranked *ranked, *spare;
  GreedyNms greedy;
};

// Decodes as detkit.boxes.decode does, operation by operation.
void decode(const float* anchor, const float* delta, const float* weights, float* box) {
  for (int axis = 0; axis < 2; ++axis) {
    const float low = anchor[axis], high = anchor[axis + 2];
    const float middle = (low + high) * 0.5f, side = high - low;
    const float centre = delta[axis] / weights[axis] * side + middle;
    const float log_scale = delta[axis + 2] / weights[axis + 2];
    const float clamped =
        log_scale > DETKIT_MAX_LOG_SCALE ? DETKIT_MAX_LOG_SCALE : log_scale;  // NaN stays
    const float half = expf(clamped) * side * 0.5f;
    box[axis] = centre - half;
    box[axis + 2] = centre + half;
  }
}

// Clips to the image (h, w). Returns whether the rest of the box is large enough.
bool clip(const float* size, float shortest, float* box) {
  for (int k = 0; k < 4; ++k) {
    const float limit = size[1 - k % 2], at_least_0 = box[k] > 0 ? box[k] : 0;
    box[k] = at_least_0 < limit ? at_least_0 : limit;
  }
  return box[2] - box[0] >= shortest && box[3] - box[1] >= shortest;
}

// Writes the boxes of the best anchors, in order, to work->greedy.boxes; work->ranked[i] becomes
// the anchor of the i-th. Returns how many there are.
size_t propose(const DetkitProposals& proposals, const DetkitLevel& level, const float* objectness,
               const float* deltas, const float* size, ProposalsWorkspace* work) {
  size_t ranked = 0;
  for (int row = 0; row < level.anchors; ++row) {
    work->ranked[ranked] = {best_first_key(objectness[row]), row};
    ranked += is_finite(objectness[row]);
  }
  const Ranked* best =
      best_first(work->ranked, work->spare, &ranked, static_cast<size_t>(proposals.pre_nms));
  const float shortest =
      proposals.min_size > DETKIT_MIN_PROPOSAL_SIDE ? proposals.min_size : DETKIT_MIN_PROPOSAL_SIDE;
  size_t n = 0;
  for (size_t i = 0; i < ranked; ++i) {
    const size_t row = static_cast<size_t>(best[i].row);
    float box[4];
    decode(level.boxes + 4 * row, deltas + 4 * row, proposals.weights, box);
    if (!is_finite(box) || !clip(size, shortest, box)) continue;
    work->greedy.boxes.set(n, measured(box));
    work->ranked[n++] = best[i];
  }
  return n;
}

float sigmoid(float x) { return 1 / (1 + expf(-x)); }

// Writes the best of a level after suppression: `rows` boxes and scores, with score -1 in rows
// without a box.
void best_of_level(const DetkitProposals& proposals, const DetkitLevel& level, int image,
                   const float* size, size_t rows, ProposalsWorkspace* work, float* boxes,
                   float* scores) {
  const size_t first = static_cast<size_t>(image) * static_cast<size_t>(level.anchors);
  const float* objectness = level.objectness + first;
  const size_t n = propose(proposals, level, objectness, level.deltas + 4 * first, size, work);
  const size_t kept = work->greedy.run(n, Threshold(proposals.iou), rows);
  for (size_t i = 0; i < kept; ++i) {
    const MeasuredBox box = work->greedy.boxes.get(i);
    const float corners[4] = {box.x1, box.y1, box.x2, box.y2};
    memcpy(boxes + 4 * i, corners, sizeof corners);
    scores[i] = sigmoid(objectness[work->ranked[work->greedy.kept[i]].row]);
  }
  for (size_t i = kept; i < rows; ++i) scores[i] = -1;
}

// Writes the best `rows` of the n proposals of an image.
void best_of_image(const float* boxes, const float* scores, size_t n, size_t rows,
                   ProposalsWorkspace* work, float* out_boxes, float* out_scores) {
  size_t ranked = 0;
  for (size_t i = 0; i < n; ++i) {
    work->ranked[ranked] = {best_first_key(scores[i]), static_cast<int32_t>(i)};
    ranked += scores[i] >= 0;
  }
  const Ranked* best = best_first(work->ranked, work->spare, &ranked, rows);
  for (size_t i = 0; i < ranked; ++i) {
    const size_t from = static_cast<size_t>(best[i].row);
    memcpy(out_boxes + 4 * i, boxes + 4 * from, 4 * sizeof(float));
    out_scores[i] = scores[from];
  }
  for (size_t i = ranked; i < rows; ++i) {
    memset(out_boxes + 4 * i, 0, 4 * sizeof(float));
    out_scores[i] = -1;
  }
}

// Where the proposals of each level lie among those of an image.
struct Layout {
  Scratch<size_t> first;  // (levels + 1,)
  size_t anchors = 0;     // the number of the largest level
  size_t candidates = 0;  // the number of those that enter suppression, of all levels

  Layout(const DetkitProposals& proposals, const DetkitLevel* levels)
      : first(static_cast<size_t>(proposals.levels) + 1) {
    const size_t pre = static_cast<size_t>(proposals.pre_nms);
    const size_t post = static_cast<size_t>(proposals.post_nms);
    first[0] = 0;
    for (int l = 0; l < proposals.levels; ++l) {
      const size_t n = static_cast<size_t>(levels[l].anchors);
      if (n > anchors) anchors = n;
      candidates += least(n, pre);
      first[l + 1] = first[l] + least(least(n, pre), post);
    }
  }
};

}  // namespace

int proposals(const DetkitProposals* proposals, const DetkitLevel* levels, const float* sizes,
              float* out_boxes, float* out_scores) {
  if (!is_valid(*proposals, levels)) return DETKIT_BAD_ARGUMENT;
  const Layout layout(*proposals, levels);
  const size_t s = layout.first[proposals->levels];
  const size_t r = least(layout.candidates, static_cast<size_t>(proposals->post_nms));
  const int images = proposals->images;
  const int64_t pieces = static_cast<int64_t>(images) * proposals->levels;
  const int threads = threads_for(pieces, 10.0 * static_cast<double>(layout.anchors));
  const Workspaces<ProposalsWorkspace> workspaces(threads, layout.anchors > s ? layout.anchors : s);
  const Scratch<float> boxes(4 * s * images), scores(s * images);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const int b = static_cast<int>(piece / proposals->levels);
    const int l = static_cast<int>(piece % proposals->levels);
    const size_t first = s * b + layout.first[l];
    ProposalsWorkspace work = workspaces.of(this_thread());
    best_of_level(*proposals, levels[l], b, sizes + 2 * b, layout.first[l + 1] - layout.first[l],
                  &work, boxes.get() + 4 * first, scores.get() + first);
  }
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int b = 0; b < images; ++b) {
    ProposalsWorkspace work = workspaces.of(this_thread());
    best_of_image(boxes.get() + 4 * s * b, scores.get() + s * b, s, r, &work, out_boxes + 4 * r * b,
                  out_scores + r * b);
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(proposals,
              (const DetkitProposals* proposals, const DetkitLevel* levels, const float* sizes,
               float* out_boxes, float* out_scores),
              (proposals, levels, sizes, out_boxes, out_scores))
