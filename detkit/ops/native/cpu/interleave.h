// Rows of pixels <-> vectors of tiles. Tiles begin every four pixels; phases[j] holds pixel 4 t + j
// of kLanes neighbouring tiles t, a tile in each lane.
#pragma once

#include "channel_blocks.h"
#include "simd.h"

namespace detkit {
namespace DETKIT_ISA {

#if defined(__AVX512F__)

inline Floats low_pairs(Floats a, Floats b) { return _mm512_maskz_unpacklo_ps(kAllLanes, a, b); }
inline Floats high_pairs(Floats a, Floats b) { return _mm512_maskz_unpackhi_ps(kAllLanes, a, b); }
template <int kChoice>
inline Floats halves(Floats a, Floats b) {
  return _mm512_maskz_shuffle_ps(kAllLanes, a, b, kChoice);
}
template <int kChoice>
inline Floats quads(Floats a, Floats b) {
  return _mm512_maskz_shuffle_f32x4(kAllLanes, a, b, kChoice);
}

// Quads 4k .. 4k + 3 in v[k] <-> quads k, k + 4, k + 8, k + 12.
inline void transpose_quads(Floats (&v)[4]) {
  const Floats ab_low = quads<0x44>(v[0], v[1]), ab_high = quads<0xee>(v[0], v[1]);
  const Floats cd_low = quads<0x44>(v[2], v[3]), cd_high = quads<0xee>(v[2], v[3]);
  v[0] = quads<0x88>(ab_low, cd_low);
  v[1] = quads<0xdd>(ab_low, cd_low);
  v[2] = quads<0x88>(ab_high, cd_high);
  v[3] = quads<0xdd>(ab_high, cd_high);
}

#elif defined(__AVX2__)

inline Floats low_pairs(Floats a, Floats b) { return _mm256_unpacklo_ps(a, b); }
inline Floats high_pairs(Floats a, Floats b) { return _mm256_unpackhi_ps(a, b); }
template <int kChoice>
inline Floats halves(Floats a, Floats b) {
  return _mm256_shuffle_ps(a, b, kChoice);
}

#endif

#if defined(__AVX2__)

// Within each quad of the four vectors: rows <-> columns.
inline void transpose_in_quads(Floats (&v)[4]) {
  const Floats ab_low = low_pairs(v[0], v[1]), ab_high = high_pairs(v[0], v[1]);
  const Floats cd_low = low_pairs(v[2], v[3]), cd_high = high_pairs(v[2], v[3]);
  v[0] = halves<0x44>(ab_low, cd_low);
  v[1] = halves<0xee>(ab_low, cd_low);
  v[2] = halves<0x44>(ab_high, cd_high);
  v[3] = halves<0xee>(ab_high, cd_high);
}

#endif

#if defined(__AVX512F__)

inline void pixels_to_phases(const float* row, Floats (&v)[4]) {
  for (int k = 0; k < 4; ++k) v[k] = load_lanes(row + k * kLanes);
  transpose_quads(v);
  transpose_in_quads(v);
}

inline void phases_to_pixels(const Floats (&phases)[4], Floats (&row)[4]) {
  for (int k = 0; k < 4; ++k) row[k] = phases[k];
  transpose_in_quads(row);
  transpose_quads(row);
}

#elif defined(__AVX2__)

inline void pixels_to_phases(const float* row, Floats (&v)[4]) {
  for (int k = 0; k < 4; ++k) {
    const __m256 low = _mm256_castps128_ps256(_mm_loadu_ps(row + 4 * k));
    v[k] = _mm256_insertf128_ps(low, _mm_loadu_ps(row + 16 + 4 * k), 1);
  }
  transpose_in_quads(v);
}

inline void phases_to_pixels(const Floats (&phases)[4], Floats (&row)[4]) {
  Floats v[4] = {phases[0], phases[1], phases[2], phases[3]};
  transpose_in_quads(v);
  row[0] = _mm256_permute2f128_ps(v[0], v[1], 0x20);
  row[1] = _mm256_permute2f128_ps(v[2], v[3], 0x20);
  row[2] = _mm256_permute2f128_ps(v[0], v[1], 0x31);
  row[3] = _mm256_permute2f128_ps(v[2], v[3], 0x31);
}

#else

inline void pixels_to_phases(const float* row, Floats (&v)[4]) {
  for (int k = 0; k < 4; ++k) v[k] = load_lanes(row + 4 * k);
  transpose(v);
}

inline void phases_to_pixels(const Floats (&phases)[4], Floats (&row)[4]) {
  for (int k = 0; k < 4; ++k) row[k] = phases[k];
  transpose(row);
}

#endif

// The numbers 2 t and 2 t + 1 of a row of 2 * kLanes, of which a holds the first half <-> vectors
// of even and of odd numbers.
#if defined(__AVX512F__)

inline Floats chosen(Floats a, Floats b, __m512i lanes) {
  return _mm512_maskz_permutex2var_ps(kAllLanes, a, lanes, b);
}
inline void split_pairs(Floats a, Floats b, Floats& even, Floats& odd) {
  const __m512i lanes =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  even = chosen(a, b, lanes);
  odd = chosen(a, b, _mm512_or_si512(lanes, _mm512_set1_epi32(1)));
}
inline void join_pairs(Floats even, Floats odd, Floats& a, Floats& b) {
  const __m512i lanes = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  a = chosen(even, odd, lanes);
  b = chosen(even, odd, _mm512_or_si512(lanes, _mm512_set1_epi32(8)));
}

#elif defined(__AVX2__)

inline Floats ordered(Floats quads) {
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(quads), 0xd8));
}
inline void split_pairs(Floats a, Floats b, Floats& even, Floats& odd) {
  even = ordered(halves<0x88>(a, b));
  odd = ordered(halves<0xdd>(a, b));
}
inline void join_pairs(Floats even, Floats odd, Floats& a, Floats& b) {
  const Floats low = low_pairs(even, odd), high = high_pairs(even, odd);
  a = _mm256_permute2f128_ps(low, high, 0x20);
  b = _mm256_permute2f128_ps(low, high, 0x31);
}

#else

inline void split_pairs(Floats a, Floats b, Floats& even, Floats& odd) {
  even = DETKIT_SHUFFLE(a, b, 0, 2, 4, 6);
  odd = DETKIT_SHUFFLE(a, b, 1, 3, 5, 7);
}
inline void join_pairs(Floats even, Floats odd, Floats& a, Floats& b) {
  a = DETKIT_SHUFFLE(even, odd, 0, 4, 1, 5);
  b = DETKIT_SHUFFLE(even, odd, 2, 6, 3, 7);
}

#endif

}  // namespace DETKIT_ISA
}  // namespace detkit
