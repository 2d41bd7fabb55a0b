// Masks pasted into images, one thread per pixel of the output, so that all writes are in order.
#include "rois.cuh"

namespace detkit {
namespace cuda {
namespace {

// One axis of a box in whole pixels: `length` of them from `start` on.
struct Span {
  int start, length;
};

__device__ Span expand(float low, float high, int size) {
  const float scale = static_cast<float>((size + 2.0) / size);
  const float centre = (high + low) * 0.5f;
  // Rounded before the sum that is truncated, as on the CPU.
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

__device__ float paste_pixel(const float* mask, int size, const Box& box, int y, int x) {
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
  const Box box = clean_box(boxes + 4 * mask);
  const int y = static_cast<int>(pixel / width), x = static_cast<int>(pixel % width);
  out[mask * pixels + pixel] = paste_pixel(probabilities + mask * size * size, size, box, y, x);
}

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

int detkit_cuda_mask_paste(int masks, int size, const float* probabilities, const float* boxes,
                           int height, int width, float* out, void* stream) {
  if (!detkit::is_valid_paste(masks, size, height, width)) return DETKIT_BAD_ARGUMENT;
  const int64_t blocks = divide_up(int64_t{height} * width, kThreads);
  if (blocks > kMostBlocks) return DETKIT_BAD_ARGUMENT;
  return launch(paste, blocks * masks, kThreads, stream, static_cast<int>(blocks), size,
                probabilities, boxes, height, width, out);
}
