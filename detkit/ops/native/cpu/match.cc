// The object that each box overlaps most, and the box that each object overlaps most.
//
// A vector of boxes is held in registers and compared with the objects that touch the rectangle
// around these boxes; if the boxes are anchors, most objects do not. The best object of a box is
// found without a branch, because a division costs less than a mispredicted branch. In the other
// direction, an object keeps its largest IoU and the first and the last box that have it. The
// result does not depend on the order of the boxes, so that they can be shared among threads, and
// only the boxes between those two have to be compared again.
#include <string.h>

#include "../checks.h"
#include "boxes.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

// The divisor of the intersection. NaN stays NaN, and no comparison with it holds.
Floats union_of(const BoxLanes& a, const BoxLanes& b, Floats inter) {
  return max(spread(DETKIT_MIN_UNION), a.area + b.area - inter);
}

// The largest IoU of an object, and the first and the last box that have it.
struct BestBoxes {
  float iou;
  int32_t first, last;

  void merge(const BestBoxes& other) {
    if (!(other.iou > 0 && other.iou >= iou)) return;
    if (other.iou > iou || other.first < first) first = other.first;
    if (other.iou > iou || other.last > last) last = other.last;
    iou = other.iou;
  }
};
constexpr BestBoxes kNoBoxes = {0, -1, -1};  // of an object that no box overlaps

// The objects of an image without the padding, or its regions to be ignored.
struct Regions {
  Columns boxes;
  int32_t* number;
  size_t count = 0;

  Regions(Arena* arena, size_t capacity)
      : boxes(arena, capacity + kLanes), number(arena->take<int32_t>(capacity)) {}

  void add(size_t g, const float* box) {
    number[count] = static_cast<int32_t>(g);
    boxes.set(count++, measured(box));
  }
  // Fills up the last vector with regions that touch nothing.
  void finish() const {
    const float far = __FLT_MAX__;
    for (size_t k = count; k < count + kLanes; ++k) boxes.set(k, {far, far, -far, -far, 0});
  }
};

struct MatchWorkspace {
  Regions objects, ignored;

  MatchWorkspace(Arena* arena, size_t capacity)
      : objects(arena, capacity), ignored(arena, capacity) {}

  void gather(const float* boxes, const float* labels, size_t n) {
    for (size_t g = 0; g < n; ++g) {
      if (!is_finite(boxes + 4 * g)) continue;
      if (labels[g] >= 0) objects.add(g, boxes + 4 * g);
      if (labels[g] == DETKIT_CROWD) ignored.add(g, boxes + 4 * g);
    }
    objects.finish();
    ignored.finish();
  }
};

// A vector of boxes, and the rectangle around them. Boxes that take no part are points at 0.
struct BoxVector {
  alignas(64) float x1[kLanes], y1[kLanes], x2[kLanes], y2[kLanes], area[kLanes];
  float left = __FLT_MAX__, top = __FLT_MAX__, right = -__FLT_MAX__, bottom = -__FLT_MAX__;

  BoxVector(const float* boxes, const float* candidates, size_t n) {
    for (size_t k = 0; k < kLanes; ++k) {
      const bool takes_part =
          k < n && is_finite(boxes + 4 * k) && !(candidates && candidates[k] == 0);
      const MeasuredBox box = takes_part ? measured(boxes + 4 * k) : MeasuredBox{0, 0, 0, 0, 0};
      x1[k] = box.x1, y1[k] = box.y1, x2[k] = box.x2, y2[k] = box.y2, area[k] = box.area;
      if (!takes_part) continue;
      left = box.x1 < left ? box.x1 : left;
      top = box.y1 < top ? box.y1 : top;
      right = box.x2 > right ? box.x2 : right;
      bottom = box.y2 > bottom ? box.y2 : bottom;
    }
  }
  BoxLanes lanes() const {
    return {load_lanes(x1), load_lanes(y1), load_lanes(x2), load_lanes(y2), load_lanes(area)};
  }

  // The lanes of regions[first] and those after it that touch the rectangle.
  uint32_t touching(const Columns& regions, size_t first) const {
    return greater(load_lanes(regions.x2 + first), spread(left)) &
           greater(spread(right), load_lanes(regions.x1 + first)) &
           greater(load_lanes(regions.y2 + first), spread(top)) &
           greater(spread(bottom), load_lanes(regions.y1 + first));
  }
};

struct MatchImage {
  const float *boxes, *candidates, *objects, *labels;
  int32_t* index;
  float *iou, *is_best, *ignored;
  int32_t* best_index;
  float* best_iou;

  BoxVector block(size_t row, size_t end) const {
    const size_t n = end - row < kLanes ? end - row : kLanes;
    return BoxVector(boxes + 4 * row, candidates ? candidates + row : nullptr, n);
  }
};

// The best object of each box of a vector, so far.
struct BestObjects {
  Floats iou{};
  Ints object{};

  // Compares with one more object. `row` is the row of the first lane; `best` is the object's.
  void see(const BoxLanes& boxes, const BoxLanes& other, int32_t number, size_t row,
           BestBoxes* best) {
    const Floats inter = overlap(boxes, other);
    const Floats quotient = inter / union_of(boxes, other, inter);
    const auto better = quotient > iou;
    iou = better ? quotient : iou;
    object = better ? spread(number) : object;
    const float least = best->iou > 0 ? best->iou : __FLT_DENORM_MIN__;
    for (uint32_t hits = at_least(quotient, spread(least)); hits; hits &= hits - 1) {
      const int32_t box = static_cast<int32_t>(row) + lowest(hits);
      best->merge({quotient[lowest(hits)], box, box});
    }
  }
};

BestObjects match_block(const BoxVector& block, const Regions& objects, size_t row,
                        BestBoxes* bests) {
  const BoxLanes boxes = block.lanes();
  BestObjects match;
  for (size_t first = 0; first < objects.count; first += kLanes) {
    uint32_t touching = block.touching(objects.boxes, first);
    for (; touching; touching &= touching - 1) {
      const size_t at = first + lowest(touching);
      const int32_t number = objects.number[at];
      match.see(boxes, BoxLanes(objects.boxes.get(at)), number, row, bests + number);
    }
  }
  return match;
}

// The largest share of each box's area in one of the regions.
Floats ignored_share(const BoxVector& block, const Regions& regions) {
  const BoxLanes boxes = block.lanes();
  Floats largest{};
  for (size_t first = 0; first < regions.count; first += kLanes) {
    uint32_t touching = block.touching(regions.boxes, first);
    for (; touching; touching &= touching - 1) {
      const BoxLanes region(regions.boxes.get(first + lowest(touching)));
      const Floats share = overlap(boxes, region) / boxes.area;
      largest = share > largest ? share : largest;
    }
  }
  return largest;
}

template <class T, class Lanes>
void write(const Lanes& lanes, size_t n, T* to) {
  T all[kLanes];
  store_lanes(all, lanes);
  memcpy(to, all, n * sizeof(T));
}

// Matches boxes begin..end-1 of an image; bests (G,) become the best of these boxes.
void match_boxes(const MatchImage& image, size_t begin, size_t end, size_t objects,
                 MatchWorkspace work, BestBoxes* bests) {
  work.gather(image.objects, image.labels, objects);
  for (size_t g = 0; g < objects; ++g) bests[g] = kNoBoxes;
  for (size_t row = begin; row < end; row += kLanes) {
    const size_t n = end - row < kLanes ? end - row : kLanes;
    const BoxVector block = image.block(row, end);
    const BestObjects match = match_block(block, work.objects, row, bests);
    write(match.object, n, image.index + row);
    write(match.iou, n, image.iou + row);
    write(ignored_share(block, work.ignored), n, image.ignored + row);
    memset(image.is_best + row, 0, n * sizeof(float));
  }
}

// Merges what the segments of an image found, (S, G), into the first of them, and writes it.
void write_bests(const MatchImage& image, int64_t segments, size_t objects, BestBoxes* bests) {
  for (size_t g = 0; g < objects; ++g) {
    BestBoxes& best = bests[g];
    for (int64_t s = 1; s < segments; ++s) best.merge(bests[objects * s + g]);
    image.best_index[g] = best.first;
    image.best_iou[g] = best.iou;
    if (best.first < 0) continue;
    image.is_best[best.first] = 1;
    image.is_best[best.last] = 1;
  }
}

// Marks the boxes between an object's first and last best box that have the same IoU.
void mark_equals(const MatchImage& image, size_t begin, size_t end, size_t objects,
                 const BestBoxes* bests) {
  for (size_t g = 0; g < objects; ++g) {
    if (bests[g].first < 0) continue;
    const BoxLanes object(measured(image.objects + 4 * g));
    const size_t after = static_cast<size_t>(bests[g].first) + 1;
    const size_t last = static_cast<size_t>(bests[g].last);
    const size_t stop = last < end ? last : end;
    for (size_t row = after > begin ? after : begin; row < stop; row += kLanes) {
      const BoxLanes boxes = image.block(row, stop).lanes();
      const Floats inter = overlap(boxes, object);
      const Floats iou = inter / union_of(boxes, object, inter);
      uint32_t equal = at_least(iou, spread(bests[g].iou));
      for (; equal; equal &= equal - 1) image.is_best[row + lowest(equal)] = 1;
    }
  }
}

// How the work is shared: if there are few images, the boxes of each are cut into segments, so that
// each thread gets one.
struct MatchPlan {
  static constexpr size_t kLeast = 4096;

  size_t boxes, objects;  // of an image
  int threads;
  int64_t segments, rows;  // of an image, of a segment

  explicit MatchPlan(const DetkitMatch& match)
      : boxes(static_cast<size_t>(match.boxes)), objects(static_cast<size_t>(match.objects)) {
    const int64_t images = match.images > 0 ? match.images : 1;
    threads = threads_for(images * static_cast<int64_t>(boxes / kLeast + 1), 1e4);
    segments = (threads + images - 1) / images;
    rows = (match.boxes + segments - 1) / segments;
  }
  size_t begin(int64_t segment) const {
    const size_t row = static_cast<size_t>(segment * rows);
    return row < boxes ? row : boxes;
  }
};

}  // namespace

int match(const DetkitMatch* match, const float* boxes, const float* candidates,
          const float* objects, const float* labels, int32_t* index, float* iou, float* is_best,
          float* ignored, int32_t* best_index, float* best_iou) {
  if (!is_valid(*match)) return DETKIT_BAD_ARGUMENT;
  const MatchPlan plan(*match);
  const int64_t pieces = plan.segments * match->images;
  const size_t n = plan.boxes, g = plan.objects;
  const auto image = [=](int64_t b) {
    return MatchImage{boxes + (match->shared_boxes ? 0 : 4 * n * b),
                      candidates ? candidates + n * b : nullptr,
                      objects + 4 * g * b,
                      labels + g * b,
                      index + n * b,
                      iou + n * b,
                      is_best + n * b,
                      ignored + n * b,
                      best_index + g * b,
                      best_iou + g * b};
  };
  const Workspaces<MatchWorkspace> workspaces(plan.threads, g);
  const Scratch<BestBoxes> bests(g * pieces);
#pragma omp parallel for schedule(dynamic) num_threads(plan.threads)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const int64_t b = piece / plan.segments, s = piece % plan.segments;
    match_boxes(image(b), plan.begin(s), plan.begin(s + 1), g, workspaces.of(this_thread()),
                bests.get() + g * piece);
  }
  for (int b = 0; b < match->images; ++b) {
    write_bests(image(b), plan.segments, g, bests.get() + g * plan.segments * b);
  }
#pragma omp parallel for schedule(dynamic) num_threads(plan.threads)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const int64_t b = piece / plan.segments, s = piece % plan.segments;
    mark_equals(image(b), plan.begin(s), plan.begin(s + 1), g, bests.get() + g * plan.segments * b);
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(match,
              (const DetkitMatch* match, const float* boxes, const float* candidates,
               const float* objects, const float* labels, int32_t* index, float* iou,
               float* is_best, float* ignored, int32_t* best_index, float* best_iou),
              (match, boxes, candidates, objects, labels, index, iou, is_best, ignored, best_index,
               best_iou))
