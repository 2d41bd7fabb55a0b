// Sorting of rows by a float, best first: a radix sort, whose time is linear in the number of rows.
// It is stable: of equal scores, the row that was given first stays first.
#pragma once

#include <string.h>

#include "isa.h"

namespace detkit {
namespace DETKIT_ISA {

struct Ranked {
  uint32_t key;  // smallest first
  int32_t row;
};

// A key whose order is the reverse of the order of the (finite) scores; -0 counts as 0.
inline uint32_t best_first_key(float score) {
  const float zero_is_positive = score + 0.0f;
  uint32_t bits;
  memcpy(&bits, &zero_is_positive, sizeof bits);
  return bits >> 31 ? bits : bits ^ 0x7fffffffu;
}

constexpr int kDigitBits = 11, kDigits = 3, kBins = 1 << kDigitBits;

inline uint32_t digit(uint32_t key, int place) { return key >> (place * kDigitBits) & (kBins - 1); }

// Drops, in place, rows that are surely not among the first `top`: rows whose leading digit is
// larger than that of the top-th row. Returns how many rows are left.
inline size_t cut(Ranked* rows, size_t n, size_t top) {
  uint32_t count[kBins] = {};
  for (size_t i = 0; i < n; ++i) ++count[digit(rows[i].key, kDigits - 1)];
  uint32_t last = 0;
  for (size_t sum = count[0]; sum < top; sum += count[last]) ++last;
  size_t left = 0;
  for (size_t i = 0; i < n; ++i) {
    rows[left] = rows[i];
    left += digit(rows[i].key, kDigits - 1) <= last;
  }
  return left;
}

// Sorts n rows by key, from the lowest digit to the highest; spare is as long as rows. Returns the
// one of the two arrays that holds the result.
inline Ranked* sort(Ranked* rows, Ranked* spare, size_t n) {
  uint32_t count[kDigits][kBins] = {};
  for (size_t i = 0; i < n; ++i) {
    for (int place = 0; place < kDigits; ++place) ++count[place][digit(rows[i].key, place)];
  }
  for (int place = 0; place < kDigits; ++place) {
    uint32_t* position = count[place];
    if (n == 0 || position[digit(rows[0].key, place)] == n) continue;  // all have the same digit
    uint32_t sum = 0;
    for (int bin = 0; bin < kBins; ++bin) {
      const uint32_t here = position[bin];
      position[bin] = sum;
      sum += here;
    }
    for (size_t i = 0; i < n; ++i) spare[position[digit(rows[i].key, place)]++] = rows[i];
    Ranked* sorted = spare;
    spare = rows;
    rows = sorted;
  }
  return rows;
}

// The best `top` of n rows in order; *n becomes the number of rows returned.
inline Ranked* best_first(Ranked* rows, Ranked* spare, size_t* n, size_t top) {
  if (top < *n) *n = top == 0 ? 0 : cut(rows, *n, top);
  Ranked* sorted = sort(rows, spare, *n);
  if (top < *n) *n = top;
  return sorted;
}

}  // namespace DETKIT_ISA
}  // namespace detkit
