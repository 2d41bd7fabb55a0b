// The specification of the convolutions and of what follows them; see kernels.h. They run on a CPU.
#pragma once

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct {
  int images, in_channels, out_channels;
  int height, width;
  int relu;      // 1: the output is min(max(0, convolution), most)
  float most;    // above 0, infinity for a plain ReLU; not read without a relu
  int bfloat16;  // 1: factors of products are rounded to bfloat16, if the processor has it
  int keeps;     // 1: what is made of the weights is kept for the next call, see below
  int pools;     // 1: the maximum of each 2 x 2 cells of the output, as detkit_max_pool's; H, W > 1
} DetkitConv3x3;

// A convolution with 3 x 3 weights, stride 1 and a padding of one zero on each side, by Winograd's
// F(4x4, 3x3): out = the sum of data * weights over the input channels and the nine neighbours,
// plus bias. Inputs: data (B, in, H, W), weights (out, in, 3, 3), bias (out) or null. Output: (B,
// out, H, W), or (B, out, H / 2, W / 2) if it pools, which has no backward pass.
//
// Rounding errors are a few times those of the plain sum, also in bfloat16, whose products are
// added up in single precision; the gradients of the weights have single precision only. A NaN or
// an infinity in the data makes NaN of outputs within six pixels of it, in all channels of its
// image. The bits of the result do not depend on the number of threads.
//
// The memory that the functions work in comes from the caller: detkit_conv3x3_workspace returns how
// many bytes the two need with as many threads as OpenMP would use now. It begins at a multiple of
// 64 bytes, and what it holds does not matter.
//
// The weights are transformed before they are multiplied, which takes four times their memory. A
// caller with constant weights sets `keeps`: the process then keeps the transformed weights, and a
// later call with weights of the same values takes them. The bits of the result are the same. All
// kept weights together take at most 1024 MB, or what the environment variable DETKIT_KEPT_WEIGHTS
// says in MB (0 keeps none): those that were not used for the longest time go first.
int detkit_conv3x3_workspace(const DetkitConv3x3* conv, int64_t* forward, int64_t* backward);
int detkit_conv3x3(const DetkitConv3x3* conv, const float* data, const float* weights,
                   const float* bias, void* workspace, float* out);

// out: the output of the forward pass, which only a relu needs. The gradient passes the relu where
// 0 < out < most. grad_data and grad_bias may be null, and are not computed then.
int detkit_conv3x3_backward(const DetkitConv3x3* conv, const float* data, const float* weights,
                            const float* out, const float* grad_out, void* workspace,
                            float* grad_data, float* grad_weights, float* grad_bias);

typedef struct {
  int images, in_channels, out_channels;
  int height, width;  // of the data
  int stride;         // 1 or 2
  int relu;           // 1: the output is min(max(0, convolution), most)
  float most;         // above 0, infinity for a plain ReLU; not read without a relu
  int bfloat16;       // 1: factors of products are rounded to bfloat16, if the processor has it
} DetkitConv1x1;

// A convolution with 1 x 1 weights without padding: out = the sum of data * weights over the input
// channels, plus bias, plus residual. Inputs: data (B, in, H, W), weights (out, in), bias (out) or
// null, residual (B, out, H', W') or null. Output: (B, out, H', W'), with H' = ceil(H / stride) and
// W' = ceil(W / stride).
//
// A NaN stays a NaN, also through a relu. The bits of the result do not depend on the number of
// threads. The memory that the functions work in comes from the caller, as that of conv3x3.
int detkit_conv1x1_workspace(const DetkitConv1x1* conv, int64_t* forward, int64_t* backward);
int detkit_conv1x1(const DetkitConv1x1* conv, const float* data, const float* weights,
                   const float* bias, const float* residual, void* workspace, float* out);

// out: the output of the forward pass, which only a relu needs. The gradient passes the relu where
// 0 < out < most. grad_data, grad_bias and grad_residual may be null, and are not computed then.
int detkit_conv1x1_backward(const DetkitConv1x1* conv, const float* data, const float* weights,
                            const float* out, const float* grad_out, void* workspace,
                            float* grad_data, float* grad_weights, float* grad_bias,
                            float* grad_residual);

typedef struct {
  int images, channels;
  int height, width;  // of the data
  int stride;         // 1 or 2
  int relu;           // 1: the output is min(max(0, convolution), most)
  float most;         // above 0, infinity for a plain ReLU; not read without a relu
} DetkitDepthwise;

// A convolution of each channel with 3 x 3 weights of its own and a padding of one zero on each
// side. Inputs: data (B, C, H, W), weights (C, 3, 3), bias (C) or null. Output: (B, C, H', W'),
// with H' = ceil(H / stride) and W' = ceil(W / stride). A NaN reaches the outputs whose weights
// cover it. The bits of the result do not depend on the number of threads. The memory that the
// functions work in comes from the caller, as that of conv3x3.
int detkit_depthwise_workspace(const DetkitDepthwise* conv, int64_t* forward, int64_t* backward);
int detkit_depthwise(const DetkitDepthwise* conv, const float* data, const float* weights,
                     const float* bias, void* workspace, float* out);

// out: the output of the forward pass, which only a relu needs. The gradient passes the relu where
// 0 < out < most. grad_bias may be null, and is not computed then.
int detkit_depthwise_backward(const DetkitDepthwise* conv, const float* data, const float* weights,
                              const float* out, const float* grad_out, void* workspace,
                              float* grad_data, float* grad_weights, float* grad_bias);

// ------------------------------------------------------------- what follows a convolution

// min(max(data, 0), most) of `count` numbers, for most > 0. A NaN stays a NaN. Backward, the
// gradient passes where 0 < out < most.
int detkit_rectify(int64_t count, float most, const float* data, float* out);
int detkit_rectify_backward(int64_t count, float most, const float* out, const float* grad_out,
                            float* grad_data);

// The maximum of each 2 x 2 cells of planes (N, H, W): out (N, H / 2, W / 2), rounded down, so that
// the last row or column of an odd side is not read. NaN is larger than every number. Backward, the
// gradient goes to the first of equal cells.
int detkit_max_pool(int64_t planes, int height, int width, const float* data, float* out);
int detkit_max_pool_backward(int64_t planes, int height, int width, const float* data,
                             const float* grad_out, float* grad_data);

// Each cell of planes (N, H, W) in two rows and two columns, cut to out (N, rows, columns), which
// are at most 2 H and 2 W. Backward, a cell gets the sum of the gradients of its copies.
int detkit_upsample(int64_t planes, int height, int width, int rows, int columns, const float* data,
                    float* out);
int detkit_upsample_backward(int64_t planes, int height, int width, int rows, int columns,
                             const float* grad_out, float* grad_data);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
