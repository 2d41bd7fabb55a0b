// How the four kinds of RoI pooling are started: a pair of kernels, forward and backward, on
// float32 or float16, over all RoIs. The gradients of features are float32 sums.
#pragma once

#include "rois.cuh"

namespace detkit {
namespace cuda {

// The arguments that all forward functions of RoI pooling have in kernels_cuda.h.
struct ForwardCall {
  const DetkitRoIs& geometry;
  const void* const* features;
  const float* rois;
  void* out;
  int half;
  void* stream;
};

// The arguments that all backward functions have.
struct BackwardCall {
  const DetkitRoIs& geometry;
  const void* const* features;
  const float* rois;
  const void* grad_out;
  void* const* grad_features;
  int half;
  void *workspace, *stream;
};

// Whether the arguments are valid and the grid of blocks is not too large.
template <class... Options>
bool can_pool(const DetkitRoIs& geometry, const Options&... options) {
  return is_valid(geometry, options...) && blocks_per_roi(geometry) <= kMostBlocks;
}

template <class T>
Maps<const T> maps_of(const DetkitRoIs& geometry, const void* const* features) {
  Maps<const T> maps = {};
  for (int i = 0; features && i < geometry.levels; ++i) {
    maps.level[i] = static_cast<const T*>(features[i]);
  }
  return maps;
}

// Starts kernel(geometry, blocks per RoI, arguments...) over all RoIs.
template <class... Parameters, class... Arguments>
int launch_rois(void (*kernel)(DetkitRoIs, int, Parameters...), const DetkitRoIs& geometry,
                void* stream, Arguments... arguments) {
  const int64_t blocks = blocks_per_roi(geometry);
  return launch(kernel, blocks * geometry.rois, kThreads, stream, geometry,
                static_cast<int>(blocks), arguments...);
}

// ------------------------------------------------------------------------- gradients

inline size_t elements(const DetkitRoIs& geometry, int level) {
  return static_cast<size_t>(geometry.images) * geometry.channels * geometry.height[level] *
         geometry.width[level];
}

inline Maps<float> float_maps(const DetkitRoIs& geometry, Arena* arena) {
  Maps<float> maps = {};
  for (int i = 0; i < geometry.levels; ++i) {
    maps.level[i] = arena->take<float>(elements(geometry, i));
  }
  return maps;
}

template <class T>
__global__ void round_sums(size_t count, const float* from, T* to) {
  const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) store(to + i, from[i]);
}

// The gradients of the features. Float16 sums would lose small terms, so sums are computed in the
// workspace and rounded once.
template <class T>
class Gradients {
 public:
  Gradients(const DetkitRoIs& geometry, void* const* out, void* workspace)
      : geometry_(geometry), out_(out), sums_{} {
    if constexpr (kRounded) {
      Arena arena(workspace);
      sums_ = float_maps(geometry, &arena);
    } else {
      for (int i = 0; i < geometry.levels; ++i) sums_.level[i] = static_cast<float*>(out[i]);
    }
  }
  const Maps<float>& sums() const { return sums_; }
  int begin(void* stream) const {
    for (int i = 0; i < geometry_.levels; ++i) {
      DETKIT_TRY(clear(sums_.level[i], elements(geometry_, i) * sizeof(float), stream));
    }
    return DETKIT_OK;
  }
  int finish(void* stream) const {
    if constexpr (kRounded) {
      for (int i = 0; i < geometry_.levels; ++i) {
        const size_t count = elements(geometry_, i);
        DETKIT_TRY(launch(round_sums<T>, divide_up(static_cast<int64_t>(count), kThreads), kThreads,
                          stream, count, static_cast<const float*>(sums_.level[i]),
                          static_cast<T*>(out_[i])));
      }
    }
    (void)stream;
    return DETKIT_OK;
  }

 private:
  static constexpr bool kRounded = sizeof(T) < sizeof(float);
  const DetkitRoIs& geometry_;
  void* const* out_;
  Maps<float> sums_;
};

// --------------------------------------------------------------------------- starting

template <class T, class Kernel, class... Options>
int launch_forward(Kernel kernel, const ForwardCall& call, const Options&... options) {
  return launch_rois(kernel, call.geometry, call.stream, options...,
                     maps_of<T>(call.geometry, call.features), call.rois,
                     static_cast<T*>(call.out));
}

template <class T, class Kernel, class... Options>
int launch_backward(Kernel kernel, const BackwardCall& call, const Options&... options) {
  const Gradients<T> gradients(call.geometry, call.grad_features, call.workspace);
  DETKIT_TRY(gradients.begin(call.stream));
  DETKIT_TRY(launch_rois(kernel, call.geometry, call.stream, options...,
                         maps_of<T>(call.geometry, call.features), call.rois,
                         static_cast<const T*>(call.grad_out), gradients.sums()));
  return gradients.finish(call.stream);
}

// Starts one of two kernels by the features' type, float32 or float16. Both are
// kernel(geometry, blocks per RoI, options..., features, rois, out).
template <class OfFloat, class OfHalf, class... Options>
int start_forward(OfFloat of_float, OfHalf of_half, const ForwardCall& call,
                  const Options&... options) {
  if (!can_pool(call.geometry, options...)) return DETKIT_BAD_ARGUMENT;
  return call.half ? launch_forward<__half>(of_half, call, options...)
                   : launch_forward<float>(of_float, call, options...);
}

// Does the same backward. Both are kernel(geometry, blocks per RoI, options..., features, rois,
// grad_out, sums), which adds to the sums, the gradients of the features.
template <class OfFloat, class OfHalf, class... Options>
int start_backward(OfFloat of_float, OfHalf of_half, const BackwardCall& call,
                   const Options&... options) {
  if (!can_pool(call.geometry, options...)) return DETKIT_BAD_ARGUMENT;
  return call.half ? launch_backward<__half>(of_half, call, options...)
                   : launch_backward<float>(of_float, call, options...);
}

}  // namespace cuda
}  // namespace detkit
