// The choice of the build that this processor runs. This file is compiled once, for the baseline.
#include "isa.h"

#include <stdlib.h>
#include <string.h>

namespace detkit {

static Isa of_the_processor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kAvx2;
#endif
  return kBaseline;
}

static Isa choose() {
  const Isa best = of_the_processor();
  const char* asked = getenv("DETKIT_ISA");  // see detkit/processor.py, whose levels are finer
  if (asked && strcmp(asked, "baseline") == 0) return kBaseline;
  if (asked && strncmp(asked, "avx2", 4) == 0 && best > kAvx2) return kAvx2;
  return best;
}

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

void no_memory() { throw std::bad_alloc(); }

}  // namespace detkit

extern "C" int detkit_isa(void) { return detkit::isa(); }
