// The basis of every .cu file: launches, the workspace, and numbers that are not finite.
//
// Kernels are started by launch() alone and use only what cuda_on_cpu.h of the tests provides, so
// that the same sources also run on a CPU, block after block.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __CUDACC__
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

#include "../checks.h"
#include "kernels_cuda.h"

namespace detkit {
namespace cuda {

constexpr int kThreads = 256;
constexpr unsigned kWarp = 0xffffffffu;  // all lanes
constexpr int64_t kMostBlocks = 0x7fffffff;

inline int outcome(cudaError_t error) {
  if (error != cudaSuccess) return DETKIT_CUDA_ERROR;
  return DETKIT_OK;
}

inline int64_t divide_up(int64_t count, int64_t by) { return (count + by - 1) / by; }

// Does kernel<<<blocks, threads>>>(arguments...); no blocks are no error.
template <class... Parameters, class... Arguments>
int launch(void (*kernel)(Parameters...), int64_t blocks, int threads, void* stream,
           Arguments... arguments) {
  if (blocks > kMostBlocks) return DETKIT_BAD_ARGUMENT;
  if (blocks <= 0) return DETKIT_OK;
#ifdef __CUDACC__
  kernel<<<static_cast<unsigned>(blocks), threads, 0, static_cast<cudaStream_t>(stream)>>>(
      arguments...);
#else
  (void)stream;
  emulate(static_cast<unsigned>(blocks), threads, [=] { kernel(arguments...); });
#endif
  return outcome(cudaGetLastError());
}

inline int clear(void* memory, size_t bytes, void* stream) {
  if (bytes == 0) return DETKIT_OK;
  return outcome(cudaMemsetAsync(memory, 0, bytes, static_cast<cudaStream_t>(stream)));
}

#define DETKIT_TRY(call)                    \
  do {                                      \
    const int status = (call);              \
    if (status != DETKIT_OK) return status; \
  } while (0)

// Hands out arrays of one workspace. Without a workspace it only adds up what they need, so that
// the function that tells the size and the function that uses it share one list of arrays.
class Arena {
 public:
  explicit Arena(void* memory) : memory_(static_cast<char*>(memory)), used_(0) {}
  template <class T>
  T* take(size_t count) {
    T* array = memory_ ? reinterpret_cast<T*>(memory_ + used_) : nullptr;
    used_ += (count * sizeof(T) + 255) / 256 * 256;
    return array;
  }
  size_t used() const { return used_; }

 private:
  char* memory_;
  size_t used_;
};

// Returns values[i], for arrays in a kernel's parameters. With an index that only the thread knows,
// each thread would copy the whole array to memory of its own.
template <class T>
__device__ T pick(const T (&values)[DETKIT_MAX_LEVELS], int i) {
  T picked = values[0];
#pragma unroll
  for (int k = 1; k < DETKIT_MAX_LEVELS; ++k) {
    if (k == i) picked = values[k];
  }
  return picked;
}

// Recognizes NaN and infinities by their bits, even if the compiler may assume there are none.
__device__ inline bool is_finite(float x) {
  return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u;
}

}  // namespace cuda
}  // namespace detkit
