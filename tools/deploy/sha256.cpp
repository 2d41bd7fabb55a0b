#include "sha256.hpp"

#include <array>
#include <cmath>
#include <cstdint>

namespace detkit {
namespace {

constexpr size_t kBlock = 64;

uint32_t rotate(uint32_t x, int by) { return x >> by | x << (32 - by); }

// Returns the first 32 bits of the fraction of a root (FIPS 180-4, sections 4.2.2 and 5.3.3).
uint32_t fraction_bits(long double root) {
  return uint32_t((root - std::floor(root)) * 4294967296.0L);
}

struct Constants {
  std::array<uint32_t, 64> rounds;  // from the cube roots of the first 64 primes
  std::array<uint32_t, 8> start;    // from the square roots of the first 8

  Constants() {
    size_t count = 0;
    for (int candidate = 2; count < rounds.size(); ++candidate) {
      bool prime = true;
      for (int d = 2; d * d <= candidate; ++d) prime = prime && candidate % d != 0;
      if (!prime) continue;
      if (count < start.size()) start[count] = fraction_bits(std::sqrt((long double)candidate));
      rounds[count++] = fraction_bits(std::cbrt((long double)candidate));
    }
  }
};

const Constants& constants() {
  static const Constants made;
  return made;
}

void absorb(const uint8_t* block, std::array<uint32_t, 8>* state) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i, block += 4) {
    w[i] = uint32_t(block[0]) << 24 | uint32_t(block[1]) << 16 | uint32_t(block[2]) << 8 | block[3];
  }
  for (int i = 16; i < 64; ++i) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
           (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
  }
  const std::array<uint32_t, 64>& rounds = constants().rounds;
  auto [a, b, c, d, e, f, g, h] = *state;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t chosen = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
    const uint32_t one =
        h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + chosen + rounds[i] + w[i];
    const uint32_t two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + majority;
    h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
  }
  const uint32_t words[] = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; ++i) (*state)[i] += words[i];
}

}  // namespace

std::string sha256(const std::string& bytes) {
  std::array<uint32_t, 8> state = constants().start;
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const size_t whole = bytes.size() / kBlock * kBlock;
  for (size_t at = 0; at < whole; at += kBlock) absorb(data + at, &state);

  std::string tail = bytes.substr(whole) + '\x80';
  while (tail.size() % kBlock != kBlock - 8) tail += '\0';
  for (int shift = 56; shift >= 0; shift -= 8) tail += char(uint64_t(bytes.size()) * 8 >> shift);
  const auto* last = reinterpret_cast<const uint8_t*>(tail.data());
  for (size_t at = 0; at < tail.size(); at += kBlock) absorb(last + at, &state);

  std::string hex;
  for (const uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) hex += "0123456789abcdef"[word >> shift & 15];
  }
  return hex;
}

}  // namespace detkit
