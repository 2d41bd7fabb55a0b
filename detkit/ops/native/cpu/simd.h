// Vectors as wide as the processor's registers; no other file decides the width. Arithmetic on them
// and ?: between them are the compiler's. The comparisons below return one bit for each lane.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "isa.h"

namespace detkit {
namespace DETKIT_ISA {

// std::min and std::max of a build would replace another build's when they are linked.
template <class T>
inline T least(T a, T b) {
  return b < a ? b : a;
}
template <class T>
inline T greatest(T a, T b) {
  return a < b ? b : a;
}

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));

inline Floats spread(float value) { return value - Floats{}; }
inline Ints spread(int32_t value) { return value - Ints{}; }

inline Floats load_lanes(const float* from) {
  Floats lanes;
  memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
inline Ints load_lanes(const int32_t* from) {
  Ints lanes;
  memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
inline void store_lanes(float* to, Floats lanes) { memcpy(to, &lanes, sizeof lanes); }
inline void store_lanes(int32_t* to, Ints lanes) { memcpy(to, &lanes, sizeof lanes); }

// The first `count` lanes, fewer than all of them. The others are read as zeros.
#if defined(__AVX512F__)
inline Floats load_some(const float* from, int count) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
}
inline void store_some(float* to, Floats lanes, int count) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), lanes);
}
#else
inline Floats load_some(const float* from, int count) {
  Floats lanes = {};
  memcpy(&lanes, from, static_cast<size_t>(count) * sizeof(float));
  return lanes;
}
inline void store_some(float* to, Floats lanes, int count) {
  memcpy(to, &lanes, static_cast<size_t>(count) * sizeof(float));
}
#endif

// The same for any count: none of the lanes if it is below 1, all if it is kLanes or more.
inline Floats load_up_to(const float* from, int count) {
  if (count >= kLanes) return load_lanes(from);
  return count > 0 ? load_some(from, count) : Floats{};
}
inline void store_up_to(float* to, Floats lanes, int count) {
  if (count >= kLanes) {
    store_lanes(to, lanes);
  } else if (count > 0) {
    store_some(to, lanes, count);
  }
}

// What is larger than caches is written past them: its next reader would not find it there, and a
// cache would first fetch what is overwritten. finish_past_cache() comes before another thread
// reads it.
constexpr size_t kBeyondCache = size_t{8} << 20;  // floats

#if defined(__AVX512F__)
inline void stream_lanes(float* to, Floats lanes) { _mm512_stream_ps(to, lanes); }
#elif defined(__AVX2__)
inline void stream_lanes(float* to, Floats lanes) { _mm256_stream_ps(to, lanes); }
#elif defined(__SSE2__)
inline void stream_lanes(float* to, Floats lanes) { _mm_stream_ps(to, lanes); }
#else
inline void stream_lanes(float* to, Floats lanes) { store_lanes(to, lanes); }
#endif

inline void store_past_cache(float* to, Floats lanes, int count) {
  if (count >= kLanes && reinterpret_cast<uintptr_t>(to) % sizeof lanes == 0) {
    stream_lanes(to, lanes);
  } else {
    store_up_to(to, lanes, count);
  }
}

inline void finish_past_cache() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// min is a < b ? a : b and max is a > b ? a : b, also of NaN and zeros; not every compiler makes
// one instruction of that. Bit k of greater (a > b) and of at_least (a >= b) belongs to lane k.
#if defined(__AVX512F__)
constexpr __mmask16 kAllLanes = 0xffff;  // the forms without a mask make GCC 12 warn
inline Floats min(Floats a, Floats b) { return _mm512_maskz_min_ps(kAllLanes, a, b); }
inline Floats max(Floats a, Floats b) { return _mm512_maskz_max_ps(kAllLanes, a, b); }
inline uint32_t greater(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
inline uint32_t at_least(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
#elif defined(__AVX2__)
inline Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
inline Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
inline uint32_t greater(Floats a, Floats b) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)));
}
inline uint32_t at_least(Floats a, Floats b) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ)));
}
#else
inline Floats min(Floats a, Floats b) { return a < b ? a : b; }
inline Floats max(Floats a, Floats b) { return a > b ? a : b; }
inline uint32_t bits(Ints true_lanes) {
#if defined(__SSE2__)
  return static_cast<uint32_t>(_mm_movemask_ps(reinterpret_cast<__m128>(true_lanes)));
#else
  const Ints bit = true_lanes & Ints{1, 2, 4, 8};
  return static_cast<uint32_t>(bit[0] | bit[1] | bit[2] | bit[3]);
#endif
}
inline uint32_t greater(Floats a, Floats b) { return bits(a > b); }
inline uint32_t at_least(Floats a, Floats b) { return bits(a >= b); }
#endif

// Lanes in which b is the maximum of a and b: not if they are equal. NaN is larger than all
// numbers.
inline Ints is_larger(Floats b, Floats a) { return ~((b <= a) | (a != a)); }
inline Floats larger(Floats a, Floats b) { return is_larger(b, a) ? b : a; }

inline int lowest(uint32_t bits) { return __builtin_ctz(bits); }

}  // namespace DETKIT_ISA
}  // namespace detkit
