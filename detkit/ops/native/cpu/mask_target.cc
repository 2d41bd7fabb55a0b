// Masks cut out under RoIs, the targets of a mask head (He et al. 2017, section 3).
//
// A target is RoIAlign of the mask, with as many samples as cover it. Its weights are a product of
// one for the row and one for the column, so those of each axis are computed once for an RoI. The
// samples of a cell that fall on one row of the mask are merged to one weight, and those outside
// of it are never computed: the work follows the pixels of the mask under the RoI, each of which is
// read about once, as one byte, whatever the RoI's size.
#include <math.h>
#include <string.h>

#include "arena.h"
#include "rois.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

// For each cell of an axis, the pixels begin..end-1 of the mask that it sees, and where the first
// of their weights stands. A cell spans a part of the mask of its own, and touches up to three
// pixels more.
struct MaskAxis {
  int *begin, *end, *at;
  float* weights;

  MaskAxis(Arena* arena, int size, int side)
      : begin(arena->take<int>(static_cast<size_t>(size))),
        end(arena->take<int>(static_cast<size_t>(size))),
        at(arena->take<int>(static_cast<size_t>(size))),
        weights(arena->take<float>(static_cast<size_t>(side) + 4 * static_cast<size_t>(size))) {}
};

struct TargetWorkspace {
  TargetWorkspace(Arena* arena, const DetkitMaskTarget& target)
      : rows(arena, target.size, target.height),
        columns(arena, target.size, target.width),
        sums(arena->take<float>(static_cast<size_t>(target.width))) {}

  MaskAxis rows, columns;
  float* sums;  // the rows of the mask that a cell sees, weighed
};

// Where an RoI is sampled along an axis.
struct MaskSamples {
  float start, cell, count;  // of the RoI, in pixels of the mask; count: in each cell

  float position(int cell_index, int sample) const {
    const float offset = (static_cast<float>(sample) + 0.5f) * cell / count;
    return start + static_cast<float>(cell_index) * cell + offset;
  }
  // The number of the sample at a position, 0..count, with some slack for rounding.
  int number(int cell_index, float position, float slack) const {
    const float first = start + static_cast<float>(cell_index) * cell;
    const float number = (position - first) / cell * count + slack;
    return static_cast<int>(fminf(fmaxf(number, 0.0f), count));
  }
};

// The weights of one cell, written from `weights` on. Returns how many pixels the cell sees.
int make_cell(const MaskSamples& samples, int cell, int side, int* begin, float* weights) {
  const float limit = static_cast<float>(side), share = 1.0f / samples.count;
  const int last = samples.number(cell, limit, 2.0f);
  int pixels = 0;
  for (int sample = samples.number(cell, -1.0f, -2.0f); sample < last; ++sample) {
    const float position = samples.position(cell, sample);
    if (!(position >= -1.0f && position <= limit)) continue;  // 0 beyond one pixel outside
    const float within = fminf(fmaxf(position, 0.0f), limit - 1.0f);
    const int low = static_cast<int>(within);
    const int high = low + 1 < side ? low + 1 : low;
    const float part = within - static_cast<float>(low);
    if (pixels == 0) *begin = low;
    for (; *begin + pixels <= high; ++pixels) weights[pixels] = 0.0f;
    weights[low - *begin] += (1.0f - part) * share;
    weights[high - *begin] += part * share;
  }
  return pixels;
}

// The pixels of the mask's side that the RoI from low to high sees.
PixelRange make_axis(float low, float high, int size, int side, const MaskAxis& axis) {
  const float start = low - 0.5f, cell = (high - 0.5f - start) / static_cast<float>(size);
  const MaskSamples samples{start, cell, fmaxf(ceilf(cell), 1.0f)};
  PixelRange seen{side, 0};
  int used = 0;
  for (int i = 0; i < size; ++i) {
    axis.begin[i] = 0;
    axis.at[i] = used;
    const int pixels = make_cell(samples, i, side, &axis.begin[i], axis.weights + used);
    axis.end[i] = axis.begin[i] + pixels;
    used += pixels;
    if (pixels > 0 && axis.begin[i] < seen.begin) seen.begin = axis.begin[i];
    if (pixels > 0 && axis.end[i] > seen.end) seen.end = axis.end[i];
  }
  return seen;
}

// sums[x] for x in seen: the rows of the mask that a cell sees, weighed.
void sum_rows(const uint8_t* mask, int width, const MaskAxis& rows, int cell, PixelRange seen,
              float* __restrict sums) {
  memset(sums + seen.begin, 0, static_cast<size_t>(seen.count()) * sizeof(float));
  for (int y = rows.begin[cell]; y < rows.end[cell]; ++y) {
    const float weight = rows.weights[rows.at[cell] + y - rows.begin[cell]];
    const uint8_t* __restrict row = mask + static_cast<size_t>(y) * static_cast<size_t>(width);
    for (int x = seen.begin; x < seen.end; ++x) sums[x] += row[x] != 0 ? weight : 0.0f;
  }
}

void resize_under(const uint8_t* mask, const DetkitMaskTarget& target, const Box& roi,
                  const TargetWorkspace& work, float* out) {
  const int size = target.size;
  const MaskAxis &rows = work.rows, &columns = work.columns;
  const PixelRange seen = make_axis(roi.x1, roi.x2, size, target.width, columns);
  make_axis(roi.y1, roi.y2, size, target.height, rows);
  for (int i = 0; i < size; ++i, out += size) {
    if (rows.begin[i] == rows.end[i] || seen.count() == 0) {
      memset(out, 0, static_cast<size_t>(size) * sizeof(float));
      continue;
    }
    sum_rows(mask, target.width, rows, i, seen, work.sums);
    for (int j = 0; j < size; ++j) {
      const float* weights = columns.weights + columns.at[j];
      const int begin = columns.begin[j], pixels = columns.end[j] - begin;
      float sum = 0.0f;
      for (int x = 0; x < pixels; ++x) sum += weights[x] * work.sums[begin + x];
      out[j] = sum;
    }
  }
}

}  // namespace

int mask_target(const DetkitMaskTarget* target, const uint8_t* masks, const float* rois,
                const int32_t* index, float* out) {
  const DetkitMaskTarget& t = *target;
  if (!is_valid(t)) return DETKIT_BAD_ARGUMENT;
  const size_t cells = static_cast<size_t>(t.size) * static_cast<size_t>(t.size);
  const size_t pixels = static_cast<size_t>(t.height) * static_cast<size_t>(t.width);
  const int64_t count = static_cast<int64_t>(t.images) * t.rois;
  const int threads = threads_for(count, 3.0 * static_cast<double>(cells));
  const Workspaces<TargetWorkspace, DetkitMaskTarget> workspaces(threads, t);
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads) if (threads > 1)
  for (int64_t roi = 0; roi < count; ++roi) {
    float* cell = out + static_cast<size_t>(roi) * cells;
    if (index[roi] < 0 || index[roi] >= t.objects || pixels == 0) {
      memset(cell, 0, cells * sizeof(float));
      continue;
    }
    const int64_t object = roi / t.rois * t.objects + index[roi];
    resize_under(masks + static_cast<size_t>(object) * pixels, t, clean_box(rois + 4 * roi),
                 workspaces.of(this_thread()), cell);
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(mask_target,
              (const DetkitMaskTarget* target, const uint8_t* masks, const float* rois,
               const int32_t* index, float* out),
              (target, masks, rois, index, out))
