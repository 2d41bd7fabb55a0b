// Masks of boxes pasted into images, as torchvision's paste_masks_in_image.
//
// A mask is resized with weights that are a product of one for the row and one for the column. It
// is widened row by row; each row of the image is then one vectorised mix of two of those rows, and
// everything outside of the box is memset.
#include <math.h>
#include <string.h>

#include "arena.h"
#include "rois.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

// The numbers that decide how much memory a thread needs.
struct PasteSize {
  int mask, width;  // M, the image's width
};

struct PasteWorkspace {
  PasteWorkspace(Arena* arena, const PasteSize& size)
      : low(arena->take<int>(static_cast<size_t>(size.width))),
        part(arena->take<float>(static_cast<size_t>(size.width))),
        rows{arena->take<float>(static_cast<size_t>(size.width)),
             arena->take<float>(static_cast<size_t>(size.width))},
        padded(arena->take<float>(static_cast<size_t>(size.mask) + 2)),
        held{-1, -1} {}

  int* low;        // where each column of the image lies in the mask,
  float* part;     // and how far beyond that
  float* rows[2];  // two rows of the mask, as wide as the box
  float* padded;   // a row of the mask between two zeros
  int held[2];     // which rows of the padded mask `rows` are
};

// One axis of a box in whole pixels: `length` of them from `start`, at least one as high is above
// low; begin..end-1 lie inside the image.
struct Span {
  int start, length, begin, end;
};

Span expand(float low, float high, int size, int side) {
  const float scale = static_cast<float>((size + 2.0) / size);
  const float centre = (high + low) * 0.5f;
  // A product of floats is exact in double: rounded here, not fused with the sum that is cut.
  const float half = static_cast<float>(static_cast<double>((high - low) * 0.5f) * scale);
  const int start = static_cast<int>(centre - half), stop = static_cast<int>(centre + half) + 1;
  return {start, stop - start, start > 0 ? start : 0, stop < side ? stop : side};
}

// Where pixel begin + i of a span lies in a padded mask of size + 2: between `low` and the next.
void locate(const Span& span, int size, int i, int* low, float* part) {
  const float scale = static_cast<float>(size + 2) / static_cast<float>(span.length);
  const float at = scale * (static_cast<float>(span.begin + i - span.start) + 0.5f) - 0.5f;
  const float within = fminf(fmaxf(at, 0.0f), static_cast<float>(size + 1));
  *low = static_cast<int>(within) < size ? static_cast<int>(within) : size;
  *part = within - static_cast<float>(*low);
}

// The row of the padded mask, widened: one of the two that are held, or a new one instead of the
// one that is not `keep`.
const float* widened(PasteWorkspace* work, const float* mask, int size, int row, int keep,
                     int width) {
  for (int i = 0; i < 2; ++i) {
    if (work->held[i] == row) return work->rows[i];
  }
  const int slot = work->held[0] == keep ? 1 : 0;
  work->held[slot] = row;
  float* out = work->rows[slot];
  if (row == 0 || row == size + 1) {
    memset(out, 0, static_cast<size_t>(width) * sizeof(float));
    return out;
  }
  memcpy(work->padded + 1, mask + static_cast<size_t>(row - 1) * static_cast<size_t>(size),
         static_cast<size_t>(size) * sizeof(float));
  for (int x = 0; x < width; ++x) {
    const float* pair = work->padded + work->low[x];
    out[x] = (1.0f - work->part[x]) * pair[0] + work->part[x] * pair[1];
  }
  return out;
}

void clear_rows(float* out, int first, int last, size_t width) {
  memset(out + static_cast<size_t>(first) * width, 0,
         static_cast<size_t>(last - first) * width * sizeof(float));
}

void paste_one(const float* mask, int size, const Box& box, int height, int width,
               PasteWorkspace* work, float* out) {
  const Span columns = expand(box.x1, box.x2, size, width);
  const Span rows = expand(box.y1, box.y2, size, height);
  const size_t stride = static_cast<size_t>(width);
  const int wide = columns.end - columns.begin;
  if (wide <= 0 || rows.end <= rows.begin) return clear_rows(out, 0, height, stride);
  for (int x = 0; x < wide; ++x) locate(columns, size, x, &work->low[x], &work->part[x]);
  work->padded[0] = work->padded[size + 1] = 0.0f;
  clear_rows(out, 0, rows.begin, stride);
  for (int y = rows.begin; y < rows.end; ++y) {
    int low;
    float part;
    locate(rows, size, y - rows.begin, &low, &part);
    const float* above = widened(work, mask, size, low, low + 1, wide);
    const float* below = widened(work, mask, size, low + 1, low, wide);
    float* row = out + static_cast<size_t>(y) * stride;
    memset(row, 0, static_cast<size_t>(columns.begin) * sizeof(float));
    float* inside = row + columns.begin;
    for (int x = 0; x < wide; ++x) inside[x] = (1.0f - part) * above[x] + part * below[x];
    memset(row + columns.end, 0, static_cast<size_t>(width - columns.end) * sizeof(float));
  }
  clear_rows(out, rows.end, height, stride);
}

}  // namespace

int mask_paste(int masks, int size, const float* probabilities, const float* boxes, int height,
               int width, float* out) {
  if (!is_valid_paste(masks, size, height, width)) return DETKIT_BAD_ARGUMENT;
  const size_t cells = static_cast<size_t>(size) * static_cast<size_t>(size);
  const size_t pixels = static_cast<size_t>(height) * static_cast<size_t>(width);
  const int threads = threads_for(masks, 3.0 * static_cast<double>(pixels));
  const Workspaces<PasteWorkspace, PasteSize> workspaces(threads, {size, width});
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int i = 0; i < masks; ++i) {
    const size_t mask = static_cast<size_t>(i);
    PasteWorkspace work = workspaces.of(this_thread());
    paste_one(probabilities + mask * cells, size, clean_box(boxes + 4 * mask), height, width, &work,
              out + mask * pixels);
  }
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(mask_paste,
              (int masks, int size, const float* probabilities, const float* boxes, int height,
               int width, float* out),
              (masks, size, probabilities, boxes, height, width, out))
