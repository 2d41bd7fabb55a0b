// Runs CUDA kernels on a CPU, so that the .cu files can be tested where there is no GPU:
//
//   g++ -std=c++17 -x c++ -include tests/ops/native/cuda_on_cpu.h -c detkit/ops/native/cuda/nms.cu
//
// Blocks run one after another; the threads of a block are fibers (ucontext) that take turns at
// barriers only. A warp runs as far as it can without the others; warps follow each other in
// ascending or, after detkit_emulate_backwards(1), in descending order, lanes too: results that
// differ between the two, or are wrong in either, show a missing barrier. Stricter than a GPU in
// one thing: a thread that ends while others of its block (or warp) wait at a barrier is an error.
// Memory is the host's, so that AddressSanitizer sees every access.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

struct Index {
  unsigned x;
};
inline Index threadIdx, blockIdx, blockDim;

using std::max;
using std::min;

// ------------------------------------------------------------------------- threads of a block

namespace emulator {

constexpr size_t kStack = 128 << 10;
constexpr int kWarpSize = 32;

// Threads wait at a barrier until `size` of them have come.
struct Barrier {
  int size = 0, waiting = 0;
  unsigned generation = 0;
};

struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(kStack);
  bool done = false;
};

struct Block {
  std::vector<Fiber> fibers;  // kept from block to block, for their stacks
  ucontext_t scheduler;
  std::function<void()> body;
  Barrier all;
  std::vector<Barrier> warps;
  std::vector<uint64_t> lanes;  // what each thread holds out to its warp
  unsigned current = 0;
  bool backwards = false;
};
inline Block block;

inline void yield() {
  Fiber& fiber = block.fibers[block.current];
  swapcontext(&fiber.context, &block.scheduler);
}

inline void run_fiber() {
  block.body();
  block.fibers[block.current].done = true;
  yield();
}

inline void wait(Barrier& barrier) {
  const unsigned generation = barrier.generation;
  if (++barrier.waiting == barrier.size) {
    barrier.waiting = 0;
    ++barrier.generation;
    return;
  }
  while (barrier.generation == generation) yield();
}

inline void start_block(unsigned threads) {
  block.all = {static_cast<int>(threads), 0, 0};
  block.warps.assign((threads + kWarpSize - 1) / kWarpSize, {});
  for (unsigned i = 0; i < threads; ++i) ++block.warps[i / kWarpSize].size;
  block.lanes.assign(threads, 0);
  if (block.fibers.size() < threads) block.fibers = std::vector<Fiber>(threads);
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = block.fibers[i];
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, run_fiber, 0);
  }
}

// Gives every thread of a warp a turn, and again as long as they let each other pass.
inline void run_warp(unsigned warp, unsigned threads) {
  const unsigned first = warp * kWarpSize, last = std::min(first + kWarpSize, threads);
  unsigned generation;
  do {
    generation = block.warps[warp].generation;
    for (unsigned turn = first; turn < last; ++turn) {
      block.current = block.backwards ? first + last - 1 - turn : turn;
      threadIdx.x = block.current;
      Fiber& fiber = block.fibers[block.current];
      if (!fiber.done) swapcontext(&block.scheduler, &fiber.context);
    }
  } while (block.warps[warp].generation != generation);
}

inline unsigned threads_done(unsigned threads) {
  unsigned done = 0;
  for (unsigned i = 0; i < threads; ++i) done += block.fibers[i].done;
  return done;
}

// In each round every warp has a turn. If none ends a thread or opens a barrier, none ever will.
inline void run_block(unsigned threads) {
  start_block(threads);
  const unsigned warps = static_cast<unsigned>(block.warps.size());
  for (unsigned done = 0; done < threads;) {
    const unsigned before = done, generation = block.all.generation;
    for (unsigned turn = 0; turn < warps; ++turn) {
      run_warp(block.backwards ? warps - 1 - turn : turn, threads);
    }
    done = threads_done(threads);
    if (done == before && block.all.generation == generation) {
      fprintf(stderr, "cuda_on_cpu: %u of %u threads wait for others that have ended\n",
              threads - done, threads);
      abort();
    }
  }
}

}  // namespace emulator

extern "C" __attribute__((used, visibility("default"))) inline void detkit_emulate_backwards(
    int on) {
  emulator::block.backwards = on;
}

// In place of kernel<<<blocks, threads>>>(arguments).
inline void emulate(unsigned blocks, int threads, std::function<void()> kernel) {
  emulator::block.body = kernel;
  blockDim.x = static_cast<unsigned>(threads);
  for (unsigned i = 0; i < blocks; ++i) {
    blockIdx.x = emulator::block.backwards ? blocks - 1 - i : i;
    emulator::run_block(blockDim.x);
  }
}

inline void __syncthreads() { emulator::wait(emulator::block.all); }

inline void __syncwarp() {
  emulator::wait(emulator::block.warps[threadIdx.x / emulator::kWarpSize]);
}

// The value that another lane of this thread's warp holds out.
template <class T>
T exchange_lanes(T value, unsigned lane) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "a lane holds out 64 bits");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  emulator::block.lanes[threadIdx.x] = bits;
  __syncwarp();
  memcpy(&value, &emulator::block.lanes[threadIdx.x / 32 * 32 + lane], sizeof value);
  __syncwarp();
  return value;
}

template <class T>
T __shfl_xor_sync(unsigned, T value, int distance) {
  return exchange_lanes(value, threadIdx.x % 32 ^ distance);
}
template <class T>
T __shfl_down_sync(unsigned, T value, int distance) {
  return exchange_lanes(value, std::min(threadIdx.x % 32 + distance, 31u));
}

inline unsigned __ballot_sync(unsigned, bool predicate) {
  emulator::block.lanes[threadIdx.x] = predicate;
  __syncwarp();
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    ballot |= static_cast<unsigned>(emulator::block.lanes[threadIdx.x / 32 * 32 + lane]) << lane;
  }
  __syncwarp();
  return ballot;
}

// --------------------------------------------------------------------------------- arithmetic

template <class T>
T atomicAdd(T* at, T value) {
  const T old = *at;
  *at += value;
  return old;
}
template <class T>
T atomicMax(T* at, T value) {
  const T old = *at;
  *at = std::max(old, value);
  return old;
}
template <class T>
T atomicAnd(T* at, T value) {
  const T old = *at;
  *at &= value;
  return old;
}
template <class T>
T atomicOr(T* at, T value) {
  const T old = *at;
  *at |= value;
  return old;
}

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }

inline unsigned __float_as_uint(float value) {
  unsigned bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

struct __half {
  uint16_t bits;
};

inline float __half2float(__half half) {
  const int exponent = half.bits >> 10 & 31, fraction = half.bits & 1023;
  const float whole = static_cast<float>(fraction + (exponent ? 1024 : 0));
  float value = ldexpf(whole, std::max(exponent, 1) - 25);
  if (exponent == 31) value = fraction ? NAN : INFINITY;
  return half.bits & 0x8000 ? -value : value;
}

// Rounded to nearest, ties to even, as rintf does.
inline __half __float2half_rn(float value) {
  const uint16_t sign = signbit(value) ? 0x8000 : 0;
  const float size = fabsf(value);
  if (!(size < 65520.0f)) return {static_cast<uint16_t>(sign | (size != size ? 0x7e00 : 0x7c00))};
  const int exponent = std::max(size > 0 ? ilogbf(size) : -15, -14);
  const unsigned fraction = static_cast<unsigned>(rintf(ldexpf(size, 10 - exponent)));
  return {static_cast<uint16_t>(sign | ((exponent + 14) * 1024 + fraction))};
}

// ------------------------------------------------------------------------------------ runtime

typedef int cudaError_t;
typedef void* cudaStream_t;
constexpr cudaError_t cudaSuccess = 0;
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t) {
  memset(at, value, bytes);
  return cudaSuccess;
}
