// The samples of RoIAlign along one axis, and the pixels that they touch.
//
// The average of samples on a grid is a weighted sum over pixels, whose weights are products of one
// for the row and one for the column. Samples of a cell lie about half a pixel apart, so that
// several fall between the same pixels. The weights of each pixel are added up first, and the pixel
// is read (or, backward, added to) once: 4 to 9 pixels instead of 16 for 2 x 2 samples.
#pragma once

#include "rois.cuh"

namespace detkit {
namespace cuda {

// The samples of a cell along one axis, 0..samples-1. Those before `first` and those from `last` on
// lie outside of the map; if there are others outside, at least one on each side lies between.
struct CellSamples {
  float start, step;  // of sample 0; from one to the next
  int samples, first, last;
  int size;  // pixels of the map

  // The pixels between which sample k falls are low and low + 1; part is the share of the latter, 0
  // if there is none. Returns false if the sample falls outside of the map.
  __device__ bool sample(int k, int* low, float* part) const {
    const float at = start + k * step;
    if (!(at >= -1.0f && at <= static_cast<float>(size))) return false;
    const float inside = fminf(fmaxf(at, 0.0f), static_cast<float>(size - 1));
    *low = static_cast<int>(inside);
    *part = inside - *low;
    return true;
  }
};

// Goes over the pixels that the samples touch, in order, with the sum of their weights. A sample
// also touches the pixel after it if that has a weight of 0: NaN there counts, as on the CPU.
class Taps {
 public:
  __device__ explicit Taps(const CellSamples& axis)
      : axis_(axis), k_(axis.first), at_(0), touched_(0), here_(0.0f), after_(0.0f) {}

  __device__ bool next(int* pixel, float* weight) {
    for (; k_ < axis_.last; ++k_) {
      int low;
      float part;
      if (!axis_.sample(k_, &low, &part)) continue;
      if (low != at_) {
        if (touched_ > 0) return emit(pixel, weight);  // the next call sees the same sample again
        at_ = low;
      }
      here_ += 1.0f - part;
      after_ += part;
      touched_ = max(touched_, low + 1 < axis_.size ? 2 : 1);
    }
    return touched_ > 0 && emit(pixel, weight);
  }

 private:
  __device__ bool emit(int* pixel, float* weight) {
    *pixel = at_++;
    *weight = here_;
    here_ = after_;
    after_ = 0.0f;
    --touched_;
    return true;
  }

  const CellSamples& axis_;
  int k_, at_;
  int touched_;         // 2: at_ and at_ + 1, 1: at_, 0: neither
  float here_, after_;  // weights of pixels at_ and at_ + 1 so far
};

__device__ inline CellSamples make_samples(const DetkitAlign& align, float low, float high,
                                           int cell, int cells, int size) {
  const float shift = align.aligned ? 0.5f : 0.0f, corner = low - shift;
  float side = high - shift - corner;
  if (!align.aligned) side = fmaxf(side, 1.0f);
  const float own = side / cells;
  const float most = DETKIT_CUDA_MAX_SAMPLES;
  const float samples = align.sampling > 0 ? align.sampling : fminf(fmaxf(ceilf(own), 1.0f), most);
  const float step = own / samples, start = corner + cell * own + 0.5f * step;
  const float first = fmaxf((-1.0f - start) / step - 2.0f, 0.0f);
  const float last = fmaxf((size - start) / step + 3.0f, 0.0f);
  return {start,
          step,
          static_cast<int>(samples),
          static_cast<int>(fminf(first, samples)),
          static_cast<int>(fminf(last, samples)),
          size};
}

}  // namespace cuda
}  // namespace detkit
