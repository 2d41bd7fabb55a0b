// How many threads share a piece of work, and which of them this one is. Without OpenMP there is
// one thread.
#pragma once

#include <stdint.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "isa.h"

namespace detkit {
namespace DETKIT_ISA {

#ifdef _OPENMP
inline int available_threads() { return omp_get_max_threads(); }
inline int this_thread() { return omp_get_thread_num(); }
#else
inline int available_threads() { return 1; }
inline int this_thread() { return 0; }
#endif

// The number of threads for so many pieces of work that take so many nanoseconds each. It is one if
// the work is too little to be shared.
inline int threads_for(int64_t pieces, double nanoseconds) {
  const int most = available_threads();
  if (pieces <= 1 || static_cast<double>(pieces) * nanoseconds <= 1e5) return 1;
  return pieces < most ? static_cast<int>(pieces) : most;
}

}  // namespace DETKIT_ISA
}  // namespace detkit
