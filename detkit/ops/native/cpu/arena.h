// One allocation that is cut into arrays. The threads of a parallel region work in memory that is
// allocated before the region, because an exception must not leave it.
#pragma once

#include "isa.h"

namespace detkit {
namespace DETKIT_ISA {

// Hands out arrays of one piece of memory. Without memory it only adds up what they need.
class Arena {
 public:
  explicit Arena(char* memory) : memory_(memory), used_(0) {}

  template <class T>
  T* take(size_t count) {
    char* array = memory_ ? memory_ + used_ : nullptr;
    used_ += (count * sizeof(T) + 127) / 64 * 64;  // a vector past the end is readable
    return reinterpret_cast<T*>(array);
  }
  size_t used() const { return used_; }

 private:
  char* memory_;
  size_t used_;
};

// A workspace for each of several threads. Workspace(Arena*, capacity) takes its arrays.
template <class Workspace, class Capacity = size_t>
class Workspaces {
 public:
  Workspaces(int threads, const Capacity& capacity)
      : capacity_(capacity), bytes_(measure(capacity)), memory_(bytes_ * threads) {}

  Workspace of(int thread) const {
    Arena arena(memory_.get() + bytes_ * thread);
    return Workspace(&arena, capacity_);
  }

 private:
  static size_t measure(const Capacity& capacity) {
    Arena arena(nullptr);
    Workspace workspace(&arena, capacity);
    return arena.used();
  }

  const Capacity capacity_;
  const size_t bytes_;
  const Scratch<char> memory_;
};

}  // namespace DETKIT_ISA
}  // namespace detkit
