// Masks cut out under RoIs for training, and pasted into images for results.
//
// Both resize with weights that are a product of one for the row and one for the column, so those
// of each axis are made once for an RoI or box. For a target (RoIAlign of the mask, with as many
// samples as cover it) the samples of a cell that fall on one row of the mask are merged to one
// weight, and those outside are never made: the work follows the pixels of the mask under the RoI,
// each read about once as one byte, whatever the RoI's size. A pasted mask is widened row by row,
// each row of the image is one vectorised mix of two of those, and everything else is memset.
//
// RoIAlign: He et al. 2017, section 3. Pasting: torchvision's paste_masks_in_image.
#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_max_threads() { return 1; }
static int omp_get_thread_num() { return 0; }
#endif

#include "rois.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

constexpr int kLongestSide = 1 << 24;  // float32 holds every whole number up to here
constexpr int64_t kWorthThreads = 1 << 15;

bool is_side(int side) { return side >= 0 && side <= kLongestSide; }

// How many threads for so many RoIs or masks; `elements`: all they write, which has to be worth it.
int threads_for(int64_t items, int64_t elements) {
  if (elements < kWorthThreads) return 1;
  const int most = omp_get_max_threads();
  return most < items ? most : int(items);
}

size_t this_thread() { return size_t(omp_get_thread_num()); }

// ------------------------------------------------------------------------------ target

// For each cell of an axis, the pixels begin..end of the mask that it sees, and where the weight
// of each stands. A cell spans a part of the mask of its own and touches up to three pixels more.
struct Axis {
  int *begin, *end, *at;
  float* weights;

  Axis(int size, int* ints, float* floats)
      : begin(ints), end(ints + size), at(ints + 2 * size), weights(floats) {}
  static size_t ints(int size) { return 3 * size_t(size); }
  static size_t floats(int size, int side) { return size_t(side) + 4 * size_t(size); }
};

struct Samples {
  float start, cell, count;  // of the RoI along the axis; count: in each cell

  float position(int cell_index, int sample) const {
    const float offset = (float(sample) + 0.5f) * cell / count;
    return start + float(cell_index) * cell + offset;
  }
  // The number of the sample at a position, with some slack for rounding, 0..count.
  int number(int cell_index, float position, float slack) const {
    const float first = start + float(cell_index) * cell;
    const float number = (position - first) / cell * count + slack;
    return int(fminf(fmaxf(number, 0.0f), count));
  }
};

// The weights of one cell, written from `weights` on; returns how many pixels it sees.
int make_cell(const Samples& samples, int cell, int side, int* begin, float* weights) {
  const float limit = float(side), share = 1.0f / samples.count;
  const int last = samples.number(cell, limit, 2.0f);
  int pixels = 0;
  for (int sample = samples.number(cell, -1.0f, -2.0f); sample < last; ++sample) {
    const float position = samples.position(cell, sample);
    if (!(position >= -1.0f && position <= limit)) continue;  // 0 beyond one pixel outside
    const float within = fminf(fmaxf(position, 0.0f), limit - 1.0f);
    const int low = int(within);
    const int high = low + 1 < side ? low + 1 : low;
    const float part = within - float(low);
    if (pixels == 0) *begin = low;
    for (; *begin + pixels <= high; ++pixels) weights[pixels] = 0.0f;
    weights[low - *begin] += (1.0f - part) * share;
    weights[high - *begin] += part * share;
  }
  return pixels;
}

struct Range {
  int first, last;
};

// The part of the mask's side that the RoI from low to high sees.
Range make_axis(float low, float high, int size, int side, const Axis& axis) {
  const float start = low - 0.5f, cell = (high - 0.5f - start) / float(size);
  const Samples samples{start, cell, fmaxf(ceilf(cell), 1.0f)};
  Range seen{side, 0};
  int used = 0;
  for (int i = 0; i < size; ++i) {
    axis.begin[i] = 0;
    axis.at[i] = used;
    const int pixels = make_cell(samples, i, side, &axis.begin[i], axis.weights + used);
    axis.end[i] = axis.begin[i] + pixels;
    used += pixels;
    if (pixels > 0 && axis.begin[i] < seen.first) seen.first = axis.begin[i];
    if (pixels > 0 && axis.end[i] > seen.last) seen.last = axis.end[i];
  }
  return seen;
}

// sums[x] for x in seen: the rows of the mask that a cell sees, weighed.
void sum_rows(const uint8_t* mask, int width, const Axis& rows, int cell, Range seen,
              float* __restrict sums) {
  memset(sums + seen.first, 0, size_t(seen.last - seen.first) * sizeof(float));
  for (int y = rows.begin[cell]; y < rows.end[cell]; ++y) {
    const float weight = rows.weights[rows.at[cell] + y - rows.begin[cell]];
    const uint8_t* __restrict row = mask + size_t(y) * size_t(width);
    for (int x = seen.first; x < seen.last; ++x) sums[x] += row[x] != 0 ? weight : 0.0f;
  }
}

void resize_under(const uint8_t* mask, const DetkitMaskTarget& target, const Box& roi,
                  const Axis& rows, const Axis& columns, float* sums, float* out) {
  const int size = target.size;
  const Range seen = make_axis(roi.x1, roi.x2, size, target.width, columns);
  make_axis(roi.y1, roi.y2, size, target.height, rows);
  for (int i = 0; i < size; ++i, out += size) {
    if (rows.begin[i] == rows.end[i] || seen.first >= seen.last) {
      memset(out, 0, size_t(size) * sizeof(float));
      continue;
    }
    sum_rows(mask, target.width, rows, i, seen, sums);
    for (int j = 0; j < size; ++j) {
      const float* weights = columns.weights + columns.at[j];
      const int begin = columns.begin[j], pixels = columns.end[j] - begin;
      float sum = 0.0f;
      for (int x = 0; x < pixels; ++x) sum += weights[x] * sums[begin + x];
      out[j] = sum;
    }
  }
}

}  // namespace

int mask_target(const DetkitMaskTarget* target, const uint8_t* masks, const float* rois,
                const int32_t* index, float* out) {
  const DetkitMaskTarget& t = *target;
  if (t.images < 0 || t.objects < 0 || t.rois < 0 || t.size < 1 || !is_side(t.size) ||
      !is_side(t.height) || !is_side(t.width)) {
    return DETKIT_BAD_ARGUMENT;
  }
  const size_t cells = size_t(t.size) * size_t(t.size);
  const size_t pixels = size_t(t.height) * size_t(t.width);
  const int64_t count = int64_t{t.images} * t.rois;
  const int threads = threads_for(count, count * int64_t(cells));
  const size_t ints = Axis::ints(t.size);
  const size_t row_floats = Axis::floats(t.size, t.height);
  const size_t floats = row_floats + Axis::floats(t.size, t.width) + size_t(t.width);
  const Scratch<int> int_room(2 * ints * size_t(threads));
  const Scratch<float> float_room(floats * size_t(threads));
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads) if (threads > 1)
  for (int64_t roi = 0; roi < count; ++roi) {
    float* cell = out + size_t(roi) * cells;
    if (index[roi] < 0 || index[roi] >= t.objects || pixels == 0) {
      memset(cell, 0, cells * sizeof(float));
      continue;
    }
    const size_t object = size_t(roi / t.rois) * size_t(t.objects) + size_t(index[roi]);
    int* own_ints = int_room.get() + 2 * ints * this_thread();
    float* own_floats = float_room.get() + floats * this_thread();
    const Axis rows(t.size, own_ints, own_floats);
    const Axis columns(t.size, own_ints + ints, own_floats + row_floats);
    resize_under(masks + object * pixels, t, clean_box(rois + 4 * roi), rows, columns,
                 own_floats + floats - size_t(t.width), cell);
  }
  return DETKIT_OK;
}

// ------------------------------------------------------------------------------- paste

namespace {

// One axis of a box in whole pixels: `length` of them from `start`, at least one as high is above
// low; begin..end lie inside the image.
struct Span {
  int start, length, begin, end;
};

Span expand(float low, float high, int size, int side) {
  const float scale = float((size + 2.0) / size);
  const float centre = (high + low) * 0.5f;
  // A product of floats is exact in double: rounded here, not fused with the sum that is cut.
  const float half = float(double((high - low) * 0.5f) * scale);
  const int start = int(centre - half), stop = int(centre + half) + 1;
  return {start, stop - start, start > 0 ? start : 0, stop < side ? stop : side};
}

// Where pixel begin + i of a span lies in a padded mask of size + 2: between `low` and the next.
void locate(const Span& span, int size, int i, int* low, float* part) {
  const float scale = float(size + 2) / float(span.length);
  const float at = scale * (float(span.begin + i - span.start) + 0.5f) - 0.5f;
  const float within = fminf(fmaxf(at, 0.0f), float(size + 1));
  *low = int(within) < size ? int(within) : size;
  *part = within - float(*low);
}

// Room for one thread: where the columns of the image lie in the mask, and the rows in work.
struct Paste {
  int* low;
  float* part;
  float* rows[2];  // two rows of the mask, as wide as the box
  float* padded;   // a row of the mask between two zeros
  int held[2];     // which rows of the padded mask `rows` are
};

// The row of the padded mask, widened: one of the two that are held, or made in place of the other.
const float* widened(Paste& paste, const float* mask, int size, int row, int keep, int width) {
  for (int i = 0; i < 2; ++i) {
    if (paste.held[i] == row) return paste.rows[i];
  }
  const int slot = paste.held[0] == keep ? 1 : 0;
  paste.held[slot] = row;
  float* out = paste.rows[slot];
  if (row == 0 || row == size + 1) {
    memset(out, 0, size_t(width) * sizeof(float));
    return out;
  }
  memcpy(paste.padded + 1, mask + size_t(row - 1) * size_t(size), size_t(size) * sizeof(float));
  for (int x = 0; x < width; ++x) {
    const float* pair = paste.padded + paste.low[x];
    out[x] = (1.0f - paste.part[x]) * pair[0] + paste.part[x] * pair[1];
  }
  return out;
}

void paste_one(const float* mask, int size, const Box& box, int height, int width, Paste& paste,
               float* out) {
  const Span columns = expand(box.x1, box.x2, size, width);
  const Span rows = expand(box.y1, box.y2, size, height);
  const size_t stride = size_t(width);
  const int wide = columns.end - columns.begin;
  if (wide <= 0 || rows.end <= rows.begin) {
    memset(out, 0, size_t(height) * stride * sizeof(float));
    return;
  }
  for (int x = 0; x < wide; ++x) locate(columns, size, x, &paste.low[x], &paste.part[x]);
  paste.padded[0] = paste.padded[size + 1] = 0.0f;
  memset(out, 0, size_t(rows.begin) * stride * sizeof(float));
  for (int y = rows.begin; y < rows.end; ++y) {
    int low;
    float part;
    locate(rows, size, y - rows.begin, &low, &part);
    const float* above = widened(paste, mask, size, low, low + 1, wide);
    const float* below = widened(paste, mask, size, low + 1, low, wide);
    float* row = out + size_t(y) * stride;
    memset(row, 0, size_t(columns.begin) * sizeof(float));
    float* inside = row + columns.begin;
    for (int x = 0; x < wide; ++x) inside[x] = (1.0f - part) * above[x] + part * below[x];
    memset(row + columns.end, 0, size_t(width - columns.end) * sizeof(float));
  }
  memset(out + size_t(rows.end) * stride, 0, size_t(height - rows.end) * stride * sizeof(float));
}

}  // namespace

int mask_paste(int masks, int size, const float* probabilities, const float* boxes, int height,
               int width, float* out) {
  if (masks < 0 || size < 1 || !is_side(size) || !is_side(height) || !is_side(width)) {
    return DETKIT_BAD_ARGUMENT;
  }
  const size_t cells = size_t(size) * size_t(size), pixels = size_t(height) * size_t(width);
  const int threads = threads_for(masks, masks * int64_t(pixels));
  const size_t floats = 3 * size_t(width) + size_t(size) + 2;
  const Scratch<int> int_room(size_t(width) * size_t(threads));
  const Scratch<float> float_room(floats * size_t(threads));
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int i = 0; i < masks; ++i) {
    const size_t mask = size_t(i);
    float* room = float_room.get() + floats * this_thread();
    int* low = int_room.get() + size_t(width) * this_thread();
    Paste paste{low, room, {room + width, room + 2 * width}, room + 3 * width, {-1, -1}};
    paste_one(probabilities + mask * cells, size, clean_box(boxes + 4 * mask), height, width, paste,
              out + mask * pixels);
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(mask_target,
              (const DetkitMaskTarget* target, const uint8_t* masks, const float* rois,
               const int32_t* index, float* out),
              (target, masks, rois, index, out))
DETKIT_KERNEL(mask_paste,
              (int masks, int size, const float* probabilities, const float* boxes, int height,
               int width, float* out),
              (masks, size, probabilities, boxes, height, width, out))
