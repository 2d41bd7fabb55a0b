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

static bool chooses_bfloat16() {
#if defined(__x86_64__) && defined(DETKIT_BFLOAT16)
  const char* asked = getenv("DETKIT_ISA");
  const bool is_held = asked && (strcmp(asked, "avx512") == 0 || strcmp(asked, "avx512_vnni") == 0);
  return isa() == kAvx512 && !is_held && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

bool has_bfloat16() {
  static const bool chosen = chooses_bfloat16();
  return chosen;
}

void no_memory() { throw std::bad_alloc(); }

}  // namespace detkit

extern "C" int detkit_isa(void) { return detkit::has_bfloat16() ? 3 : detkit::isa(); }
