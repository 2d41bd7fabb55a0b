// Masks cut out under RoIs, one thread per element of the output, so that all writes are in order.
// A target is RoIAlign's average of bytes (align.cuh).
#include "align.cuh"

namespace detkit {
namespace cuda {
namespace {

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
  const Box roi = clean_box(rois + 4 * r);
  const CellSamples y = make_samples(align, roi.y1, roi.y2, row, target.size, target.height);
  const CellSamples x = make_samples(align, roi.x1, roi.x2, column, target.size, target.width);
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

}  // namespace
}  // namespace cuda
}  // namespace detkit

using namespace detkit::cuda;

int detkit_cuda_mask_target(const DetkitMaskTarget* target, const uint8_t* masks, const float* rois,
                            const int32_t* index, float* out, void* stream) {
  const DetkitMaskTarget& t = *target;
  if (!detkit::is_valid(t)) return DETKIT_BAD_ARGUMENT;
  const int64_t count = int64_t{t.images} * t.rois * t.size * t.size;
  return launch(cut_out, divide_up(count, kThreads), kThreads, stream, t, count, masks, rois, index,
                out);
}
