// What the products of a convolution multiply: floats or, in the build for bfloat16, pairs of it.
//
// A pair holds the values of an even channel and of the one after it. One instruction multiplies
// two pairs and adds both products to a float.
#pragma once

#include "simd.h"

namespace detkit {
namespace DETKIT_ISA {

#if defined(__AVX512BF16__)

constexpr int kDeep = 2;  // channels of a factor
typedef uint32_t Factor;
typedef uint32_t Factors __attribute__((vector_size(4 * kLanes)));

inline Factors load_factors(const Factor* from) {
  Factors lanes;
  memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
inline void store_factors(Factor* to, Factors lanes) { memcpy(to, &lanes, sizeof lanes); }
inline Factors spread_factor(Factor value) { return value - Factors{}; }

inline void add_product(Floats* sum, Factors a, Factors b) {
  *sum = _mm512_dpbf16_ps(*sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

inline __mmask16 first_lanes(int count) {
  return static_cast<__mmask16>(count >= kLanes ? 0xffff : (1u << count) - 1);
}

// Writes the points of a channel: of an even one as floats, which wait for the next channel's.
struct PointsStore {
  const bool is_even, is_last;

  PointsStore(int channel, int channels)
      : is_even(channel % 2 == 0), is_last(channel + 1 == channels) {}

  // `count` lanes are written, or all.
  void operator()(Factor* to, Floats lanes, int count) const {
    if (is_even && !is_last) {
      memcpy(to, &lanes, sizeof lanes);
      return;
    }
    Floats even = lanes;
    if (!is_even) memcpy(&even, to, sizeof even);
    const __m512bh rounded = _mm512_cvtne2ps_pbh(is_even ? Floats{} : lanes, even);
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i pairs = _mm512_permutexvar_epi16(order, reinterpret_cast<__m512i>(rounded));
    _mm512_mask_storeu_epi32(to, first_lanes(count), pairs);
  }
};

// The first `count` of 16 weights: of an even channel in the lower half, of the next one above.
inline void store_weights(Factor* to, Floats weights, int count) {
  const __m256bh rounded = _mm512_maskz_cvtneps_pbh(first_lanes(count), weights);
  const __m256i order = _mm256_set_epi16(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
  const __m256i pairs = _mm256_permutexvar_epi16(order, reinterpret_cast<__m256i>(rounded));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), pairs);
}

// The factors that row_factors() needs memory for.
inline size_t row_memory(int channels) { return static_cast<size_t>(channels) / 2 + kLanes; }

// A row of weights, one for each channel, as factors.
inline const Factor* row_factors(const float* weights, int channels, Factor* memory) {
  for (int i = 0; i < channels; i += kLanes) {
    const __m256bh pairs = _mm512_cvtneps_pbh(load_up_to(weights + i, channels - i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(memory + i / 2),
                        reinterpret_cast<__m256i>(pairs));
  }
  return memory;
}

#else

constexpr int kDeep = 1;
typedef float Factor;
typedef Floats Factors;

inline Factors load_factors(const Factor* from) { return load_lanes(from); }
inline Factors spread_factor(Factor value) { return spread(value); }
inline void add_product(Floats* sum, Factors a, Factors b) { *sum += a * b; }

struct PointsStore {
  PointsStore(int, int) {}
  void operator()(Factor* to, Floats lanes, int) const { store_lanes(to, lanes); }
};
inline void store_weights(Factor* to, Floats weights, int count) {
  store_up_to(to, weights, count);
}
inline size_t row_memory(int) { return 0; }
inline const Factor* row_factors(const float* weights, int, Factor*) { return weights; }

#endif

// The factors of a sum over channels.
inline int depth_of(int channels) { return (channels + kDeep - 1) / kDeep; }

}  // namespace DETKIT_ISA
}  // namespace detkit
