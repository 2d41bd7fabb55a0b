// One allocation cut into arrays. What the threads of a parallel region work in is allocated before
// the region, because an exception must not leave it.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif

#include "isa.h"

namespace detkit {
namespace DETKIT_ISA {

// Hands out arrays of one piece of memory; without memory it only adds up what they need.
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

// Threads for so many pieces of work of so many nanoseconds each: one where it is little.
inline int threads_for(int64_t pieces, double nanoseconds) {
#ifdef _OPENMP
  const int most = omp_get_max_threads();
  if (pieces > 1 && static_cast<double>(pieces) * nanoseconds > 1e5) {
    return pieces < most ? static_cast<int>(pieces) : most;
  }
#endif
  (void)pieces, (void)nanoseconds;
  return 1;
}
inline int thread() {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

// A workspace for each of several threads. Work is made by Work(Arena*, capacity).
template <class Work>
class Workspaces {
 public:
  Workspaces(int threads, size_t capacity)
      : capacity_(capacity), bytes_(measure(capacity)), memory_(bytes_ * threads) {}

  Work of(int thread) const {
    Arena arena(memory_.get() + bytes_ * thread);
    return Work(&arena, capacity_);
  }

 private:
  static size_t measure(size_t capacity) {
    Arena arena(nullptr);
    Work work(&arena, capacity);
    return arena.used();
  }

  size_t capacity_, bytes_;
  Scratch<char> memory_;
};

}  // namespace DETKIT_ISA
}  // namespace detkit
