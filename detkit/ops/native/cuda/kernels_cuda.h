// The operators of kernels.h on an NVIDIA GPU, with the same structs and the same results, on
// device pointers.
//
// Every function only starts kernels on the stream (a cudaStream_t): it does not wait, copies
// nothing to the host and allocates nothing, so that a call can be captured in a CUDA graph.
// Structs and arrays of pointers (features, levels) are the host's and are read before it returns.
//
// A function that needs memory to work in takes `workspace`: device memory, aligned to 256, of at
// least as many bytes as its _workspace function returns for the same arguments. The memory is free
// for another use as soon as the stream has passed the call. Its contents do not matter, and
// nothing is kept in it.
//
// Two limits hold on the GPU alone: proposals come from at most DETKIT_MAX_LEVELS levels, and
// RoIAlign takes at most DETKIT_CUDA_MAX_SAMPLES samples per cell and axis.
//
// Results agree with the CPU's to rounding (exp, log2 and the order of sums differ); IoUs, hard NMS
// and match agree bit by bit. Everything is deterministic except the gradients of features, which
// are sums by atomicAdd in float32, in no fixed order: two runs may differ in the last bits.
//
// half = 1: features, outputs and their gradients are float16 (void* is float* or __half*). RoIs
// and their gradients are always float32, and so are all sums.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../kernels.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

// The largest number of samples of RoIAlign in a cell, along one axis.
#define DETKIT_CUDA_MAX_SAMPLES 32768

// A kernel could not be started: there is no device, no code for it, or an earlier error.
enum { DETKIT_CUDA_ERROR = 3 };

// ------------------------------------------------------------------------------ boxes

// The workspace of hard NMS is about 40 bytes a box and 2 MiB for each image.
size_t detkit_cuda_nms_workspace(const DetkitNms* nms);
int detkit_cuda_nms(const DetkitNms* nms, const float* boxes, const float* scores,
                    const float* labels, float* out_boxes, float* out_scores, float* out_labels,
                    int32_t* out_index, void* workspace, void* stream);

size_t detkit_cuda_proposals_workspace(const DetkitProposals* proposals, const DetkitLevel* levels);
int detkit_cuda_proposals(const DetkitProposals* proposals, const DetkitLevel* levels,
                          const float* sizes, float* out_boxes, float* out_scores, void* workspace,
                          void* stream);

size_t detkit_cuda_match_workspace(const DetkitMatch* match);
int detkit_cuda_match(const DetkitMatch* match, const float* boxes, const float* candidates,
                      const float* objects, const float* labels, int32_t* index, float* iou,
                      float* is_best, float* ignored, int32_t* best_index, float* best_iou,
                      void* workspace, void* stream);

// ------------------------------------------------------------------------------- RoIs

// The workspace of every backward function below; it is 0 for float32.
size_t detkit_cuda_roi_backward_workspace(const DetkitRoIs* geometry, int half);

int detkit_cuda_roi_align(const DetkitRoIs* geometry, const DetkitAlign* align,
                          const void* const* features, const float* rois, void* out, int half,
                          void* stream);
int detkit_cuda_roi_align_backward(const DetkitRoIs* geometry, const DetkitAlign* align,
                                   const void* const* features, const float* rois,
                                   const void* grad_out, void* const* grad_features, int half,
                                   void* workspace, void* stream);

int detkit_cuda_roi_pool(const DetkitRoIs* geometry, int mode, const void* const* features,
                         const float* rois, void* out, int half, void* stream);
int detkit_cuda_roi_pool_backward(const DetkitRoIs* geometry, int mode, const void* const* features,
                                  const float* rois, const void* grad_out,
                                  void* const* grad_features, int half, void* workspace,
                                  void* stream);

int detkit_cuda_prroi_pool(const DetkitRoIs* geometry, const void* const* features,
                           const float* rois, void* out, int half, void* stream);
int detkit_cuda_prroi_pool_backward(const DetkitRoIs* geometry, const void* const* features,
                                    const float* rois, const void* grad_out,
                                    void* const* grad_features, float* grad_rois, int half,
                                    void* workspace, void* stream);

int detkit_cuda_crop_pool(const DetkitRoIs* geometry, const void* const* features,
                          const float* rois, void* out, int half, void* stream);
int detkit_cuda_crop_pool_backward(const DetkitRoIs* geometry, const void* const* features,
                                   const float* rois, const void* grad_out,
                                   void* const* grad_features, int half, void* workspace,
                                   void* stream);

// ------------------------------------------------------------------------------ masks

int detkit_cuda_mask_target(const DetkitMaskTarget* target, const uint8_t* masks, const float* rois,
                            const int32_t* index, float* out, void* stream);
int detkit_cuda_mask_paste(int masks, int size, const float* probabilities, const float* boxes,
                           int height, int width, float* out, void* stream);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
