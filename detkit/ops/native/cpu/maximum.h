// Maxima of 16 channels at once, and the number of the candidate that was the largest.
//
// Candidates come one after the other. A NaN is never larger than a number: the maximum is NaN only
// if all candidates are NaN. The first of several equal candidates is the winner, and the first of
// all if all are NaN.
#pragma once

#include "channel_blocks.h"

namespace detkit {
namespace DETKIT_ISA {

// The maximum of no candidates: any number is larger.
inline Block no_maximum() {
  Block block;
  for (int i = 0; i < kParts; ++i) block.part[i] = Floats{} + __builtin_nanf("");
  return block;
}

inline void take_larger(Block& best, const Block& value) {
  for (int i = 0; i < kParts; ++i) {
    const Floats v = value.part[i], b = best.part[i];
    const Floats larger = v > b ? v : b;
    best.part[i] = b == b ? larger : v;
  }
}

// The number of the largest candidate; `key` is its value.
struct Winner {
  Block key;
  Ints number[kParts];
};

// The winner of no candidates. Its number, 0, stays if all candidates are NaN.
inline Winner no_winner() {
  Winner winner;
  for (int i = 0; i < kParts; ++i) {
    winner.key.part[i] = Floats{} - __builtin_inff();
    winner.number[i] = Ints{};
  }
  return winner;
}

inline void take_larger(Winner& winner, const Block& value, int number) {
  for (int i = 0; i < kParts; ++i) {
    const Floats best = winner.key.part[i];
    const Floats key = value.part[i] == value.part[i] ? value.part[i] : best;
    winner.number[i] = key > best ? Ints{} + number : winner.number[i];
    winner.key.part[i] = key > best ? key : best;
  }
}

// The lanes of `block` whose winner is this candidate, and 0 in the others.
inline Block where_winner(const Winner& winner, int number, const Block& block) {
  Block lanes;
  for (int i = 0; i < kParts; ++i) {
    lanes.part[i] = winner.number[i] == number ? block.part[i] : Floats{};
  }
  return lanes;
}

}  // namespace DETKIT_ISA
}  // namespace detkit
