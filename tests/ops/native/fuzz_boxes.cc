// Cases for the kernels of boxes: nms, proposals, match.
#include <deque>

#include "fuzz_kernels.h"

void fill_boxes(Random& random, Floats& boxes, int stride) {
  for (size_t i = 0; i + stride <= boxes.count(); i += stride) {
    float* corners = boxes.data() + i + stride - 4;
    if (i > 0 && random.chance(0.1)) {
      std::copy(corners - stride, corners - stride + 4, corners);
      continue;
    }
    const float shortest = random.chance(0.1) ? -20.f : 1.f;
    for (int axis = 0; axis < 2; ++axis) {
      corners[axis] = random.number(-20, 60);
      corners[axis + 2] = corners[axis] + random.number(shortest, 50);
      if (random.chance(0.03)) corners[axis + 2] = random.number(-20, 60);
    }
  }
}

namespace {

double iou(const float* a, const float* b) {
  const double w = std::min(a[2], b[2]) - double(std::max(a[0], b[0]));
  const double h = std::min(a[3], b[3]) - double(std::max(a[1], b[1]));
  if (!(w > 0 && h > 0)) return 0;
  const double areas =
      (double(a[2]) - a[0]) * (double(a[3]) - a[1]) + (double(b[2]) - b[0]) * (double(b[3]) - b[1]);
  return w * h / (areas - w * h);
}

// Whether float32 computes the areas of a box as well as float64 does.
bool sound(const float* box) {
  return std::all_of(box, box + 4, [](float c) { return fabsf(c) < 1e4f; }) &&
         box[2] - box[0] > 1e-3f && box[3] - box[1] > 1e-3f;
}

// Rows best first, then rows of nothing: zeros and score -1. Returns how many rows hold a box.
int kept_rows(const float* boxes, const float* scores, int rows) {
  int kept = 0;
  while (kept < rows && scores[kept] != -1.f) ++kept;
  for (int i = 0; i < rows; ++i) {
    if (i >= kept) require(scores[i] == -1.f, "a box in row %d, after an empty row", i);
    if (i < kept) require(scores[i] >= 0.f && isfinite(scores[i]), "score %g", scores[i]);
    if (i > 0 && i < kept) require(scores[i] <= scores[i - 1], "row %d is not in order", i);
    for (int c = 0; c < 4; ++c) {
      require(i < kept || boxes[4 * i + c] == 0.f, "a box in row %d, after the last score", i);
    }
  }
  return kept;
}

// ------------------------------------------------------------------------------- boxes

int top_k(Random& random, int boxes) {
  return random.chance(0.3) ? -1 : random.between(0, boxes + 3);
}

bool same(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

void check_nms(const DetkitNms& nms, const Floats& boxes, const Floats& scores, const float* labels,
               const Floats& out_boxes, const Floats& out_scores, const Floats& out_labels,
               const Ints& index, int rows) {
  for (int b = 0; b < nms.images; ++b) {
    const int n = b * nms.boxes, m = b * rows;
    const int kept = kept_rows(out_boxes.data() + 4 * m, out_scores.data() + m, rows);
    for (int i = 0; i < rows; ++i) {
      const int from = index[m + i];
      require(i < kept ? from >= 0 && from < nms.boxes : from == -1, "index %d", from);
      if (i >= kept) {
        require(out_labels[m + i] == -1.f, "label %g of nothing", out_labels[m + i]);
        continue;
      }
      const float *box = out_boxes.data() + 4 * (m + i), score = out_scores[m + i];
      require(std::equal(box, box + 4, boxes.data() + 4 * (n + from)), "not the box of its index");
      require(same(out_labels[m + i], labels ? labels[n + from] : 0.f), "label %d", i);
      const bool hard = nms.mode == DETKIT_NMS_HARD;
      require(hard ? score == scores[n + from] : score <= scores[n + from], "score %d", i);
      const bool tie = i > 0 && score == out_scores[m + i - 1];
      require(!tie || index[m + i - 1] < from, "row %d is before its equal", i);
      for (int j = 0; j < i; ++j) {
        require(index[m + j] != from, "box %d came out twice", from);
        const float* other = out_boxes.data() + 4 * (m + j);
        if (!hard || !same(out_labels[m + i], out_labels[m + j])) continue;
        const bool apart = iou(box, other) <= nms.iou + kEpsilon;
        require(apart || !sound(box) || !sound(other), "rows %d, %d overlap", j, i);
      }
    }
  }
}

// Without a limit, a box goes only where one that was kept overlaps it.
void check_dropped(float threshold, int n, const float* boxes, const float* scores,
                   const float* labels, const int32_t* kept) {
  for (int i = 0; i < n; ++i) {
    bool explained = !sound(boxes + 4 * i) || !(scores[i] >= 0 && isfinite(scores[i]));
    for (int k = 0; k < n && kept[k] >= 0 && !explained; ++k) {
      const bool rival = !labels || same(labels[i], labels[kept[k]]);
      const bool near = iou(boxes + 4 * i, boxes + 4 * kept[k]) >= threshold - kEpsilon;
      explained = kept[k] == i || (rival && (near || !sound(boxes + 4 * kept[k])));
    }
    require(explained, "box %d was dropped, nothing overlaps it", i);
  }
}

}  // namespace

void fuzz_nms(Random& random, uint64_t* digest) {
  DetkitNms nms = {};
  nms.images = random.between(0, 3), nms.boxes = random.count(1500);
  nms.top_k_in = top_k(random, nms.boxes), nms.top_k_out = top_k(random, nms.boxes);
  nms.mode = random.chance(0.5) ? DETKIT_NMS_HARD : random.between(0, 2);
  nms.iou = random.one_of({0.f, 0.3f, 0.5f, 0.7f, 1.f, 2.f});
  nms.sigma = random.one_of({0.5f, 0.1f, 1e-6f});
  nms.min_score = random.one_of({0.f, 0.001f, 0.3f});
  const int rows = nms.top_k_out < 0 ? nms.boxes : std::min(nms.boxes, nms.top_k_out);
  const size_t in = size_t(nms.images) * nms.boxes, out = size_t(nms.images) * rows;
  Floats boxes(random, 4 * in), scores(random, in), labels(random, in);
  fill_boxes(random, boxes);
  const float lowest = random.chance(0.2) ? -1.f : 0.f;  // drawn here: as arguments, in any order
  scores.fill(random, lowest, random.one_of({1.f, 3.f}));
  for (size_t i = 0; i < in; ++i) labels[i] = random.chance(0.03) ? NAN : random.between(-1, 3);
  const float* within = random.chance(0.5) ? labels.data() : nullptr;
  Floats out_boxes(random, 4 * out), out_scores(random, out), out_labels(random, out);
  Ints index(random, out);
  succeeded(detkit_nms(&nms, boxes.data(), scores.data(), within, out_boxes.data(),
                       out_scores.data(), out_labels.data(), index.data()));
  out_boxes.written("boxes", digest), out_scores.written("scores", digest);
  out_labels.written("labels", digest), index.written("index", digest);
  check_nms(nms, boxes, scores, within, out_boxes, out_scores, out_labels, index, rows);
  if (nms.mode != DETKIT_NMS_HARD || nms.top_k_in >= 0 || nms.top_k_out >= 0) return;
  for (size_t b = 0, n = size_t(nms.boxes); b < size_t(nms.images); ++b) {
    check_dropped(nms.iou, nms.boxes, boxes.data() + 4 * b * n, scores.data() + b * n,
                  within ? within + b * n : nullptr, index.data() + b * n);
  }
}

namespace {

// The arrays of one level of an RPN.
struct RPNLevel {
  Floats anchors, objectness, deltas;

  RPNLevel(Random& random, int images, int count)
      : anchors(random, 4 * size_t(count)),
        objectness(random, size_t(images) * count),
        deltas(random, 4 * size_t(images) * count) {
    fill_boxes(random, anchors);
    objectness.fill(random, -5, 5);
    deltas.fill(random, -1, 1);
  }
};

}  // namespace

void fuzz_proposals(Random& random, uint64_t* digest) {
  DetkitProposals proposals = {};
  proposals.images = random.between(0, 3), proposals.levels = random.between(1, 5);
  proposals.pre_nms = random.count(1000), proposals.post_nms = random.count(1000);
  proposals.iou = random.one_of({0.f, 0.5f, 0.7f, 1.f});
  proposals.min_size = random.one_of({1e-3f, 1.f, 16.f});
  std::fill_n(proposals.weights, 4, random.one_of({1.f, 10.f}));
  int rows = 0;
  DetkitLevel levels[5];
  std::deque<RPNLevel> made;
  for (int l = 0; l < proposals.levels; ++l) {
    const int count = random.count(2500);
    const RPNLevel& level = made.emplace_back(random, proposals.images, count);
    levels[l] = {count, level.anchors.data(), level.objectness.data(), level.deltas.data()};
    rows += std::min(count, proposals.pre_nms);
  }
  rows = std::min(rows, proposals.post_nms);
  Floats sizes(random, 2 * size_t(proposals.images));
  sizes.fill(random, 20, 100);
  const size_t out = size_t(proposals.images) * rows;
  Floats boxes(random, 4 * out), scores(random, out);
  succeeded(detkit_proposals(&proposals, levels, sizes.data(), boxes.data(), scores.data()));
  boxes.written("boxes", digest), scores.written("scores", digest);
  scores.within("scores", -1, 1);
  for (int b = 0; b < proposals.images; ++b) {
    const float *box = boxes.data() + 4 * size_t(b) * rows, *size = sizes.data() + 2 * b;
    const int kept = kept_rows(box, scores.data() + size_t(b) * rows, rows);
    for (int i = 0; i < kept && isfinite(size[0]) && isfinite(size[1]); ++i, box += 4) {
      require(box[0] >= 0 && box[1] >= 0 && box[2] <= size[1] && box[3] <= size[0], "outside");
      const float side = std::min(box[2] - box[0], box[3] - box[1]);
      require(side >= proposals.min_size * (1 - kEpsilon), "a side of %g", side);
    }
  }
}

namespace {

float area(const float* box) { return (box[2] - box[0]) * (box[3] - box[1]); }

struct MatchCase {
  DetkitMatch match;
  Floats boxes, candidates, objects, labels;
  Ints index, best_index;
  Floats iou, is_best, ignored, best_iou;

  MatchCase(Random& random, const DetkitMatch& m, size_t n, size_t g)
      : match(m),
        boxes(random, 4 * (m.shared_boxes ? size_t(m.boxes) : n)),
        candidates(random, n),
        objects(random, 4 * g),
        labels(random, g),
        index(random, n),
        best_index(random, g),
        iou(random, n),
        is_best(random, n),
        ignored(random, n),
        best_iou(random, g) {
    fill_boxes(random, boxes);
    fill_boxes(random, objects);
    for (size_t i = 0; i < n; ++i) candidates[i] = random.chance(0.8) ? 1.f : random.number(0, 1);
    for (size_t i = 0; i < g; ++i) {
      labels[i] = random.chance(0.03) ? random.one_of(kStrange) : float(random.between(-2, 2));
    }
  }
};

bool repeats(const float* box) { return std::equal(box, box + 4, box - 4); }

// Equal boxes get the same result, and of equal ones the first is the best.
void check_equals(const MatchCase& c, const float* candidates, int b) {
  const int n = c.match.boxes, g = c.match.objects;
  const float* boxes = c.boxes.data() + (c.match.shared_boxes ? 0 : 4 * b * n);
  const float *objects = c.objects.data() + 4 * b * g, *labels = c.labels.data() + b * g;
  for (int i = 1, row = b * n + 1; i < n; ++i, ++row) {
    if (candidates && (candidates[row] == 0 || candidates[row - 1] == 0)) continue;
    if (!repeats(boxes + 4 * i)) continue;
    require(c.iou[row] == c.iou[row - 1] && c.index[row] == c.index[row - 1] &&
                c.is_best[row] == c.is_best[row - 1] && c.ignored[row] == c.ignored[row - 1],
            "box %d is box %d, their results differ", row, row - 1);
    for (int j = 0; j < g; ++j) require(c.best_index[b * g + j] != i, "not the first: box %d", i);
  }
  for (int j = 1; j < g; ++j) {
    if (!repeats(objects + 4 * j) || !(labels[j - 1] >= 0)) continue;
    for (int i = 0; i < n; ++i) require(c.index[b * n + i] != j, "not the first: object %d", j);
  }
}

// The results for image b against float64, where the boxes are such that both agree.
void check_image(const MatchCase& c, const float* candidates, int b) {
  const int n = c.match.boxes, g = c.match.objects;
  const float* boxes = c.boxes.data() + (c.match.shared_boxes ? 0 : 4 * b * n);
  const float *objects = c.objects.data() + 4 * b * g, *labels = c.labels.data() + b * g;
  for (int i = 0; i < n; ++i) {
    const int row = b * n + i;
    const bool takes_part = !candidates || candidates[row] != 0.f;
    double largest = 0, share = 0;
    for (int j = 0; j < g && takes_part; ++j) {
      const double both = iou(boxes + 4 * i, objects + 4 * j);
      if (labels[j] >= 0) largest = std::max(largest, both);
      if (labels[j] >= 0) require(both <= c.best_iou[b * g + j] + kEpsilon, "best iou %d", j);
      if (labels[j] != -2) continue;
      const double a = area(boxes + 4 * i), o = area(objects + 4 * j);
      share = std::max(share, both / (1 + both) * (a + o) / a);
    }
    require(fabs(c.iou[row] - largest) < kEpsilon, "iou[%d] = %g, not %g", row, c.iou[row],
            largest);
    require(fabs(c.ignored[row] - share) < kEpsilon, "ignored[%d] = %g, not %g", row,
            c.ignored[row], share);
    if (g == 0 || c.iou[row] == 0) continue;
    const double chosen = iou(boxes + 4 * i, objects + 4 * c.index[row]);
    require(fabs(chosen - largest) < kEpsilon, "index[%d] = %d", row, c.index[row]);
  }
}

}  // namespace

void fuzz_match(Random& random, uint64_t* digest) {
  const DetkitMatch match = {random.between(0, 3), random.count(1500), random.count(80),
                             random.chance(0.5)};
  const size_t n = size_t(match.images) * match.boxes, g = size_t(match.images) * match.objects;
  const MatchCase c(random, match, n, g);
  const float* candidates = random.chance(0.5) ? c.candidates.data() : nullptr;
  succeeded(detkit_match(&match, c.boxes.data(), candidates, c.objects.data(), c.labels.data(),
                         c.index.data(), c.iou.data(), c.is_best.data(), c.ignored.data(),
                         c.best_index.data(), c.best_iou.data()));
  c.index.written("index", digest), c.iou.written("iou", digest);
  c.is_best.written("is_best", digest), c.ignored.written("ignored", digest);
  c.best_index.written("best_index", digest), c.best_iou.written("best_iou", digest);
  c.index.within("index", 0, std::max(match.objects - 1, 0));
  c.iou.within("iou", 0, 1 + kEpsilon), c.ignored.within("ignored", 0, 1 + kEpsilon);
  c.best_index.within("best_index", -1, match.boxes - 1);
  c.best_iou.within("best_iou", 0, 1 + kEpsilon);
  for (size_t i = 0; i < n; ++i) require(c.is_best[i] == 0 || c.is_best[i] == 1, "is_best");
  for (size_t j = 0; j < g; ++j) {
    const size_t first = j / size_t(match.objects) * size_t(match.boxes);
    require((c.best_index[j] < 0) == (c.best_iou[j] == 0), "best_iou[%zu] of nothing", j);
    require(c.best_index[j] < 0 || c.is_best[first + size_t(c.best_index[j])] == 1,
            "the best box of object %zu is not marked", j);
  }
  for (int b = 0; b < match.images && random.ordinary(); ++b) {
    check_image(c, candidates, b), check_equals(c, candidates, b);
  }
}
