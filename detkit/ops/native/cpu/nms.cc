// Non-maximum suppression, greedy and soft (Bodla et al. 2017), within labels.
//
// For each image, the rows that take part are ranked (rank.h), the best top_k_in of them are sorted
// into lists by label, each list is suppressed (greedy_nms.h, soft_nms.h), and what is left is
// ranked again. No list has to return more than top_k_out boxes, so each stops there.
#include "../checks.h"
#include "greedy_nms.h"
#include "rank.h"
#include "soft_nms.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

struct NmsWorkspace {
  NmsWorkspace(Arena* arena, size_t capacity)
      : ranked(arena->take<Ranked>(capacity)),
        spare(arena->take<Ranked>(capacity)),
        left(arena->take<float>(capacity)),
        greedy(arena, capacity),
        soft(arena, capacity) {}

  Ranked *ranked, *spare;
  float* left;  // the score of each row after suppression; -1: dropped
  GreedyNms greedy;
  SoftNms soft;
};

struct NmsImage {
  const float *boxes, *scores, *labels;
  float *out_boxes, *out_scores, *out_labels;
  int32_t* out_index;
};

size_t or_all(int top, size_t all) { return top < 0 ? all : static_cast<size_t>(top); }

// The rows whose score is finite and >= 0, in order; with `boxes`, only those whose box is finite.
size_t taking_part(const float* scores, const float* boxes, size_t n, Ranked* rows) {
  size_t count = 0;
  for (size_t row = 0; row < n; ++row) {
    rows[count] = {best_first_key(scores[row]), static_cast<int32_t>(row)};
    count += scores[row] >= 0 && is_finite(scores[row]) && (!boxes || is_finite(boxes + 4 * row));
  }
  return count;
}

// Equal labels have equal keys, and all NaN have one key.
uint32_t label_key(float label) {
  const float zero_is_positive = label + 0.0f;
  uint32_t bits;
  memcpy(&bits, &zero_is_positive, sizeof bits);
  return label == label ? bits : 0x7fc00000u;
}

void suppress_hard(const DetkitNms& nms, const NmsImage& image, const Ranked* list, size_t n,
                   NmsWorkspace* work) {
  for (size_t i = 0; i < n; ++i) {
    work->greedy.boxes.set(i, measured(image.boxes + 4 * static_cast<size_t>(list[i].row)));
  }
  const size_t kept = work->greedy.run(n, Threshold(nms.iou), or_all(nms.top_k_out, n));
  for (size_t k = 0; k < kept; ++k) {
    const int32_t row = list[work->greedy.kept[k]].row;
    work->left[row] = image.scores[row];
  }
}

void suppress_soft(const DetkitNms& nms, const NmsImage& image, const Ranked* list, size_t n,
                   NmsWorkspace* work) {
  for (size_t i = 0; i < n; ++i) {
    const int32_t row = list[i].row;
    const MeasuredBox box = measured(image.boxes + 4 * static_cast<size_t>(row));
    work->soft.set(i, row, box, image.scores[row]);
  }
  work->soft.run(nms, n, or_all(nms.top_k_out, n), work->left);
}

// Writes the n best rows, and rows without a box up to `size`.
void write(const NmsImage& image, const Ranked* best, size_t n, size_t size, const float* left) {
  for (size_t i = 0; i < size; ++i) {
    const int32_t row = i < n ? best[i].row : -1;
    if (row < 0) {
      memset(image.out_boxes + 4 * i, 0, 4 * sizeof(float));
    } else {
      memcpy(image.out_boxes + 4 * i, image.boxes + 4 * static_cast<size_t>(row),
             4 * sizeof(float));
    }
    image.out_index[i] = row;
    image.out_scores[i] = row < 0 ? -1 : left[row];
    image.out_labels[i] = row < 0 ? -1 : image.labels ? image.labels[row] : 0;
  }
}

void suppress(const DetkitNms& nms, const NmsImage& image, NmsWorkspace* work) {
  const size_t boxes = static_cast<size_t>(nms.boxes);
  size_t n = taking_part(image.scores, image.boxes, boxes, work->ranked);
  Ranked* list = best_first(work->ranked, work->spare, &n, or_all(nms.top_k_in, n));
  if (image.labels) {
    for (size_t i = 0; i < n; ++i) list[i].key = label_key(image.labels[list[i].row]);
    list = sort(list, list == work->ranked ? work->spare : work->ranked, n);
  }
  for (size_t row = 0; row < boxes; ++row) work->left[row] = -1;
  for (size_t first = 0, end; first < n; first = end) {
    for (end = first + 1; end < n && (!image.labels || list[end].key == list[first].key);) ++end;
    const auto one_label = nms.mode == DETKIT_NMS_HARD ? suppress_hard : suppress_soft;
    one_label(nms, image, list + first, end - first, work);
  }
  const size_t size = or_all(nms.top_k_out, boxes);
  n = taking_part(work->left, nullptr, boxes, work->ranked);
  list = best_first(work->ranked, work->spare, &n, size);
  write(image, list, n, size < boxes ? size : boxes, work->left);
}

}  // namespace

int nms(const DetkitNms* nms, const float* boxes, const float* scores, const float* labels,
        float* out_boxes, float* out_scores, float* out_labels, int32_t* out_index) {
  if (!is_valid(*nms)) return DETKIT_BAD_ARGUMENT;
  const size_t n = static_cast<size_t>(nms->boxes), wanted = or_all(nms->top_k_out, n);
  const size_t m = wanted < n ? wanted : n;
  const int threads = threads_for(nms->images, static_cast<double>(n) * 100);
  const Workspaces<NmsWorkspace> workspaces(threads, n);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int b = 0; b < nms->images; ++b) {
    NmsWorkspace work = workspaces.of(this_thread());
    const size_t in = n * b, out = m * b;
    const NmsImage image = {boxes + 4 * in,      scores + in,      labels ? labels + in : nullptr,
                            out_boxes + 4 * out, out_scores + out, out_labels + out,
                            out_index + out};
    suppress(*nms, image, &work);
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(nms,
              (const DetkitNms* nms, const float* boxes, const float* scores, const float* labels,
               float* out_boxes, float* out_scores, float* out_labels, int32_t* out_index),
              (nms, boxes, scores, labels, out_boxes, out_scores, out_labels, out_index))
