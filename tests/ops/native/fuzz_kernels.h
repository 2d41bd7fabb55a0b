// What the fuzzed cases are made of: numbers, arrays, and a failure that names its case.
#pragma once

#include <float.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "kernels_conv.h"

extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*)(void));

struct Running {
  unsigned long long seed = 0;
  long long number = 0, first = 0, cases = 1000;
  const char *op = "", *only = nullptr, *digests = nullptr;
};
inline Running running;

inline void name_the_case() {
  fprintf(stderr, "\nFAILED %s: --seed %llu --first %lld --cases 1%s%s\n", running.op, running.seed,
          running.number, running.only ? " --only " : "", running.only ? running.only : "");
}

inline void stopped(int signal) {
  fprintf(stderr, signal == SIGALRM ? "no end" : "signal %d", signal);
  name_the_case();
  _exit(1);
}

// However the process dies, it names the case.
inline void watch() {
  if (__sanitizer_set_death_callback) {
    __sanitizer_set_death_callback(name_the_case);
  } else {
    for (int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) signal(fatal, stopped);
  }
  for (int fatal : {SIGABRT, SIGALRM}) signal(fatal, stopped);
}

__attribute__((format(printf, 2, 3))) inline void require(bool holds, const char* format, ...) {
  if (holds) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  name_the_case();
  _exit(1);
}

constexpr float kStrange[] = {NAN,    -NAN,    INFINITY, -INFINITY, FLT_MAX, -FLT_MAX,     3.39e38f,
                              1e30f,  -1e30f,  1e20f,    -1e10f,    1e4f,    -1e4f,        FLT_MIN,
                              1e-40f, -1e-40f, 1e-20f,   0.0f,      -0.0f,   2147483648.0f};

// The numbers of one case.
class Random {
 public:
  Random(uint64_t seed, uint64_t number) : state_(seed * 0x9e3779b97f4a7c15u ^ number << 20) {
    strange_ = chance(0.6) ? 0.0 : chance(0.5) ? 0.03 : 0.4;
    round_ = chance(0.4);
  }

  uint64_t bits() {  // splitmix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  int between(int low, int high) { return low + int(bits() % uint64_t(high - low + 1)); }
  bool chance(double share) { return double(bits() >> 11) * 0x1p-53 < share; }
  template <class T, size_t n>
  T one_of(const T (&values)[n]) {
    return values[bits() % n];
  }
  // How many: now and then 0, mostly few, sometimes past the widest vector, rarely `most`.
  int count(int most) {
    if (chance(0.04)) return 0;
    return between(1, std::min(most, chance(0.05) ? most : chance(0.2) ? 70 : 9));
  }
  float uniform(float low, float high) {
    return low + (high - low) * float(bits() >> 40) * 0x1p-24f;
  }
  float uniform_or_half(float low, float high) {  // halves in some cases, for ties
    const float value = uniform(low, high);
    return round_ ? floorf(value * 2) / 2 : value;
  }
  float number(float low, float high) {  // in some cases there are strange ones among them
    return strange_ > 0 && chance(strange_) ? one_of(kStrange) : uniform_or_half(low, high);
  }
  bool ordinary() const { return strange_ == 0; }

 private:
  uint64_t state_;
  double strange_;
  bool round_;
};

// An array allocated to the element, now and then off its alignment, filled with a NaN that no
// kernel can make: an element left unwritten, or added to, shows.
template <class T>
class Array {
 public:
  static constexpr uint32_t kUnwritten = 0x7fa5a5a5, kQuiet = 0x400000;  // which adding to it sets

  Array(Random& random, size_t count) : count_(count), skipped_(random.chance(0.5)) {
    block_ = static_cast<T*>(malloc((count + skipped_) * sizeof(T)));
    if (sizeof(T) == 4) std::fill_n(reinterpret_cast<uint32_t*>(data()), count, kUnwritten);
  }
  Array(const Array&) = delete;
  ~Array() { free(block_); }

  T* data() const { return block_ + skipped_; }
  T& operator[](size_t i) const { return data()[i]; }
  size_t count() const { return count_; }

  void fill(Random& random, float low, float high) {
    for (size_t i = 0; i < count_; ++i) data()[i] = T(random.number(low, high));
  }
  // Every element has been written. Adds them to a digest.
  void written(const char* name, uint64_t* digest = nullptr) const {
    for (size_t i = 0; i < count_; ++i) {
      uint32_t bits;
      memcpy(&bits, data() + i, sizeof bits);
      require((bits & ~kQuiet) != kUnwritten, "%s[%zu] of %zu is not written", name, i, count_);
      if (digest) *digest = (*digest ^ bits) * 1099511628211u;
    }
  }
  void within(const char* name, T low, T high) const {
    for (size_t i = 0; i < count_; ++i) {
      require(data()[i] >= low && data()[i] <= high, "%s[%zu] = %g is not in %g..%g", name, i,
              double(data()[i]), double(low), double(high));
    }
  }

 private:
  size_t count_, skipped_;
  T* block_;
};

using Floats = Array<float>;
using Ints = Array<int32_t>;

constexpr float kEpsilon = 1e-4f;

// Each runs one case. The box kernels add what they write to a digest.
void fuzz_nms(Random& random, uint64_t* digest);
void fuzz_proposals(Random& random, uint64_t* digest);
void fuzz_match(Random& random, uint64_t* digest);
void fuzz_roi_align(Random& random, uint64_t*);
void fuzz_roi_pool(Random& random, uint64_t*);
void fuzz_prroi_pool(Random& random, uint64_t*);
void fuzz_crop_pool(Random& random, uint64_t*);
void fuzz_mask_target(Random& random, uint64_t*);
void fuzz_mask_paste(Random& random, uint64_t*);
void fuzz_conv3x3(Random& random, uint64_t*);
void fuzz_conv1x1(Random& random, uint64_t*);
void fuzz_depthwise(Random& random, uint64_t*);
void fuzz_max_pool(Random& random, uint64_t*);
void fuzz_upsample(Random& random, uint64_t*);
void fuzz_rectify(Random& random, uint64_t*);

// Boxes of `stride` numbers, the last four of them the corners; some inverted, empty or repeated.
void fill_boxes(Random& random, Floats& boxes, int stride = 4);
inline void succeeded(int status) { require(status == DETKIT_OK, "status %d", status); }
