// Masks cut out under RoIs and pasted into images: one thread per element of the output, so that
// all writes are in order. A target is RoIAlign's average of bytes (align.cuh).
#include "align.cuh"

namespace detkit {
namespace cuda {
namespace {

constexpr int kLongestSide = 1 << 24;  // float32 holds every whole number up to here

bool is_side(int side) { return side >= 0 && side <= kLongestSide; }

__global__ void cut_out(DetkitMaskTarget target, int64_t count, const uint8_t* masks,
                        const float* rois, const int32_t* index, float* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int column = static_cast<int>(i % target.size);
  const int row = static_cast<int>(i / target.size % target.size);
  const int64_t r = i / target.size / target.size, image = r / target.rois;
  const int object = index[r];
  out[i] = 0.0f;
  if (object < 0 || object >= target.objects || target.height == 0 || target.width == 0) return;
  const size_t plane = static_cast<size_t>(target.height) * target.width;
  const uint8_t* mask = masks + (image * target.objects + object) * plane;
  const DetkitAlign align = {0, 1, DETKIT_AVERAGE};
  const RoI roi = clean_roi(rois + 4 * r);
  const Axis y = make_axis(align, roi.y1, roi.y2, row, target.size, target.height);
  const Axis x = make_axis(align, roi.x1, roi.x2, column, target.size, target.width);
  float sum = 0.0f, row_weight, weight;
  int pixel_row, pixel;
  for (Taps rows(y); rows.next(&pixel_row, &row_weight);) {
    const uint8_t* pixels = mask + static_cast<size_t>(pixel_row) * target.width;
    float row_sum = 0.0f;
    for (Taps columns(x); columns.next(&pixel, &weight);) {
      if (pixels[pixel]) row_sum += weight;
    }
    sum += row_weight * row_sum;
  }
  out[i] = sum / (static_cast<float>(y.samples) * x.samples);
}

// One axis of a box in whole pixels: `length` of them from `start`.
struct Span {
  int start, length;
};

__device__ Span expand(float low, float high, int size) {
  const float scale = static_cast<float>((size + 2.0) / size);
  const float centre = (high + low) * 0.5f;
  // Rounded before the sum that is cut to a whole number, as on the CPU.
  const float half = __fmul_rn((high - low) * 0.5f, scale);
  const int start = static_cast<int>(centre - half), last = static_cast<int>(centre + half);
  return {start, last + 1 - start};
}

// Where a pixel of the image lies in the mask with a border of zeros, size + 2 cells: between
// `low` and the next.
__device__ void locate(const Span& span, int size, int pixel, int* low, float* part) {
  const float scale = __fdiv_rn(static_cast<float>(size + 2), static_cast<float>(span.length));
  const float at = scale * (static_cast<float>(pixel - span.start) + 0.5f) - 0.5f;
  const float within = fminf(fmaxf(at, 0.0f), static_cast<float>(size + 1));
  *low = min(static_cast<int>(within), size);
  *part = within - static_cast<float>(*low);
}

__device__ float bordered(const float* mask, int size, int row, int column) {
  const bool inside = row >= 1 && row <= size && column >= 1 && column <= size;
  return inside ? mask[static_cast<size_t>(row - 1) * size + column - 1] : 0.0f;
}

__device__ float paste_pixel(const float* mask, int size, const RoI& box, int y, int x) {
  const Span rows = expand(box.y1, box.y2, size), columns = expand(box.x1, box.x2, size);
  if (y < rows.start || y >= rows.start + rows.length) return 0.0f;
  if (x < columns.start || x >= columns.start + columns.length) return 0.0f;
  int row, column;
  float down, across;
  locate(rows, size, y, &row, &down);
  locate(columns, size, x, &column, &across);
  const float above = (1.0f - across) * bordered(mask, size, row, column) +
                      across * bordered(mask, size, row, column + 1);
  const float below = (1.0f - across) * bordered(mask, size, row + 1, column) +
                      across * bordered(mask, size, row + 1, column + 1);
  return (1.0f - down) * above + down * below;
}

__global__ void paste(int blocks, int size, const float* probabilities, const float* boxes,
                      int height, int width, float* out) {
  const size_t mask = blockIdx.x / blocks, pixels = static_cast<size_t>(height) * width;
  const size_t pixel = static_cast<size_t>(blockIdx.x % blocks) * blockDim.x + threadIdx.x;
  if (pixel >= pixels) return;
  const RoI box = clean_roi(boxes + 4 * mask);
  const int y = static_cast<int>(pixel / width), x = static_cast<int>(pixel % width);
  out[mask * pixels + pixel] = paste_pixel(probabilities + mask * size * size, size, box, y, x);
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

int detkit_cuda_mask_target(const DetkitMaskTarget* target, const uint8_t* masks, const float* rois,
                            const int32_t* index, float* out, void* stream) {
  const DetkitMaskTarget& t = *target;
  if (t.images < 0 || t.objects < 0 || t.rois < 0 || t.size < 1 || !is_side(t.size) ||
      !is_side(t.height) || !is_side(t.width)) {
    return DETKIT_BAD_ARGUMENT;
  }
  const int64_t count = int64_t{t.images} * t.rois * t.size * t.size;
  return launch(cut_out, divide_up(count, kThreads), kThreads, stream, t, count, masks, rois, index,
                out);
}

int detkit_cuda_mask_paste(int masks, int size, const float* probabilities, const float* boxes,
                           int height, int width, float* out, void* stream) {
  if (masks < 0 || size < 1 || !is_side(size) || !is_side(height) || !is_side(width)) {
    return DETKIT_BAD_ARGUMENT;
  }
  const int64_t blocks = divide_up(int64_t{height} * width, kThreads);
  if (blocks > kMostBlocks) return DETKIT_BAD_ARGUMENT;
  return launch(paste, blocks * masks, kThreads, stream, static_cast<int>(blocks), size,
                probabilities, boxes, height, width, out);
}
