// What kernels make of constant weights, kept for the next call with weights of the same values.
// kept.cc is compiled once, for the baseline: all builds share one store.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace detkit {

// The values of constant weights, their shape, and the form of what is made of them.
struct KeptKey {
  uint64_t values[2];  // a hash
  int in, out;
  int form;

  KeptKey(const float* weights, size_t count, int in, int out, int form);
};

struct KeptArray;

// Use of a kept array, which stays in memory until the end of its scope.
class Kept {
 public:
  // Takes the array of `key`, or makes room for it. It has neither if another thread fills the
  // array now, if the store is full of arrays in use, or if there is no memory.
  Kept(const KeptKey& key, size_t bytes);
  ~Kept();
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  const void* filled() const;  // null if there is none, or not yet
  void* to_fill() const;       // null if there is none, or if it is filled
  void set_filled();

 private:
  KeptArray* array_;
};

}  // namespace detkit
