// Cases of a fuzzer: seeds, and mutations of them that follow from a number.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace detkit {

using Bytes = std::string;

inline const std::vector<Bytes> kWords = {
    "0",
    "-1",
    "1e999",
    "1.5",
    "2147483648",
    "4294967296",
    "18446744073709551616",
    "-5",
    "null",
    "true",
    "[]",
    "{}",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "\\",
    "\xff",
    "\xed\xa0\x80",
    "\xf4\x90\x80\x80",
    "\n",
    "#",
    "P6",
    "65536",
    "(0, 0)",
    "(-1,)",
    "null\"",
    "_Native",
    "--threads",
    "nan",
    "1e30",
    "--",
    "\x12\x01",
    "Convolution",
    "__shape__",
    "../",
    "\xff\xd9",
    "\xff\xda",
    "\xff\xe1",
    "IDAT",
    "eXIf",
    "tRNS",
};

// Returns the CRC-32 of the PNG specification (annex D).
inline uint32_t checksum(const Bytes& bytes, size_t at, size_t count) {
  uint32_t crc = 0xffffffff;
  for (size_t i = at; i < at + count; ++i) {
    crc ^= uint8_t(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

// Returns a PNG with the right checksum of each chunk that lies within it.
inline Bytes with_checksums(Bytes bytes) {
  constexpr size_t kSignature = 8, kAround = 12;  // length, name and checksum of a chunk
  for (size_t at = kSignature; at + kAround <= bytes.size();) {
    size_t length = 0;
    for (size_t i = at; i < at + 4; ++i) length = length << 8 | uint8_t(bytes[i]);
    if (length > bytes.size() - at - kAround) break;
    const uint32_t sum = checksum(bytes, at + 4, 4 + length);
    at += kAround + length;
    for (size_t i = 1; i <= 4; ++i) bytes[at - i] = char(sum >> (8 * (i - 1)));
  }
  return bytes;
}

class Mutator {
 public:
  Mutator(std::vector<Bytes> seeds, uint64_t seed) : seeds_(std::move(seeds)), seed_(seed) {}

  Bytes make(uint64_t number) {
    if (number < seeds_.size()) return seeds_[size_t(number)];
    random_.seed(seed_ * 0x9e3779b97f4a7c15u + number);
    Bytes out = seeds_[below(seeds_.size())];
    for (size_t left = size_t(1) << below(4); left > 0; --left) mutate(&out);
    return out;
  }

 private:
  size_t below(size_t limit) { return limit == 0 ? 0 : size_t(random_() % limit); }

  void mutate(Bytes* bytes) {
    const size_t at = below(bytes->size() + 1), length = 1 + below(size_t(1) << below(8));
    switch (below(9)) {
      case 0:
        if (at < bytes->size()) (*bytes)[at] = char((*bytes)[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < bytes->size()) (*bytes)[at] = char(below(256));
        break;
      case 2:
        bytes->erase(at, length);
        break;
      case 3:
        bytes->insert(at, bytes->substr(below(bytes->size() + 1), length));
        break;
      case 4:
        bytes->insert(at, kWords[below(kWords.size())]);
        break;
      case 5:
        put_number(bytes, at);
        break;
      case 6:
        replace_token(bytes, at);
        break;
      case 7:
        splice(bytes, at);
        break;
      default:
        if (below(8) == 0) bytes->resize(at);
    }
  }

  // Overwrites a binary number of 1, 2, 4 or 8 bytes.
  void put_number(Bytes* bytes, size_t at) {
    const uint64_t numbers[] = {0,          1,          0x7f,       0xff,
                                0x80000000, 0xffffffff, 0x7fffffff, ~0ull,
                                1ull << 62, 1ull << 40, random_(),  bytes->size()};
    const uint64_t number = numbers[below(std::size(numbers))];
    const size_t size = size_t(1) << below(4);
    for (size_t i = 0; i < size && at + i < bytes->size(); ++i) {
      (*bytes)[at + i] = char(number >> (8 * i));
    }
  }

  // Replaces the number or word at a place.
  void replace_token(Bytes* bytes, size_t at) {
    const auto is_token = [](char c) { return std::isalnum(uint8_t(c)) || c == '-' || c == '.'; };
    while (at < bytes->size() && !is_token((*bytes)[at])) ++at;
    size_t end = at;
    while (end < bytes->size() && is_token((*bytes)[end])) ++end;
    bytes->replace(at, end - at, kWords[below(kWords.size())]);
  }

  void splice(Bytes* bytes, size_t at) {
    const Bytes& other = seeds_[below(seeds_.size())];
    bytes->replace(at, Bytes::npos, other, std::min(at, other.size()), Bytes::npos);
    bytes->resize(std::min<size_t>(bytes->size(), 1 << 20));
  }

  std::vector<Bytes> seeds_;
  uint64_t seed_;
  std::mt19937_64 random_;
};

}  // namespace detkit
