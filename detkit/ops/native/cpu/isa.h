// One source, three builds: compile.py compiles every kernel for the baseline of the architecture
// and, on x86-64, also for AVX2 and for AVX-512. The processor chooses when a kernel is called.
// Some have a fourth build, which multiplies in bfloat16 (factors.h), for callers that ask for it.
//
// A kernel lives in namespace detkit::DETKIT_ISA, so that no function of one build can replace
// another's when they are linked. For the same reason, templates of the standard library get only
// types of that namespace as arguments, and Scratch is used instead of std::vector.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <new>

#include "../kernels.h"

#ifndef DETKIT_ISA
#define DETKIT_ISA baseline
#endif

namespace detkit {

enum Isa { kBaseline = 0, kAvx2 = 1, kAvx512 = 2 };
Isa isa();                      // the build that this process uses, decided once
bool has_bfloat16();            // whether it also uses the build for products of bfloat16
[[noreturn]] void no_memory();  // throws std::bad_alloc

namespace DETKIT_ISA {

// An array that is freed at the end of its scope, aligned for vectors, not initialised.
template <class T>
class Scratch {
 public:
  explicit Scratch(size_t count) : data_(nullptr) {
    const size_t bytes = (count * sizeof(T) + 127) / 64 * 64;  // a vector past the end is readable
    if (count > SIZE_MAX / sizeof(T) - 127 ||
        !(data_ = static_cast<T*>(operator new(bytes, std::align_val_t(64), std::nothrow)))) {
      no_memory();
    }
  }
  ~Scratch() { operator delete(data_, std::align_val_t(64)); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* get() const { return data_; }
  T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_;
};

}  // namespace DETKIT_ISA
}  // namespace detkit

// DETKIT_KERNEL(nms, (const DetkitNms* n, ...), (n, ...)) after the definition of int nms(...) in
// detkit::DETKIT_ISA defines detkit_nms, once, in the baseline's build. DETKIT_PRODUCTS does that
// for a kernel which is also built for products of bfloat16; its last argument says whether the
// caller asks for them.
#if defined(DETKIT_DISPATCH) && defined(__x86_64__)
#define DETKIT_DECLARE(build, name, parameters) \
  namespace detkit {                            \
  namespace build {                             \
  int name parameters;                          \
  }                                             \
  }
#define DETKIT_CHOICE(name, parameters, arguments, first) \
  DETKIT_DECLARE(avx2, name, parameters)                  \
  DETKIT_DECLARE(avx512, name, parameters)                \
  extern "C" int detkit_##name parameters {               \
    try {                                                 \
      first switch (detkit::isa()) {                      \
        case detkit::kAvx512:                             \
          return detkit::avx512::name arguments;          \
        case detkit::kAvx2:                               \
          return detkit::avx2::name arguments;            \
        default:                                          \
          return detkit::baseline::name arguments;        \
      }                                                   \
    } catch (const std::bad_alloc&) {                     \
      return DETKIT_OUT_OF_MEMORY;                        \
    }                                                     \
  }
#define DETKIT_KERNEL(name, parameters, arguments) DETKIT_CHOICE(name, parameters, arguments, )
#elif defined(DETKIT_DISPATCH)
#define DETKIT_KERNEL(name, parameters, arguments) \
  extern "C" int detkit_##name parameters {        \
    try {                                          \
      return detkit::baseline::name arguments;     \
    } catch (const std::bad_alloc&) {              \
      return DETKIT_OUT_OF_MEMORY;                 \
    }                                              \
  }
#else
#define DETKIT_KERNEL(name, parameters, arguments)
#endif

#if defined(DETKIT_DISPATCH) && defined(DETKIT_BFLOAT16)
#define DETKIT_PRODUCTS(name, parameters, arguments, asked) \
  DETKIT_DECLARE(avx512_bf16, name, parameters)             \
  DETKIT_CHOICE(                                            \
      name, parameters, arguments,                          \
      if ((asked) && detkit::has_bfloat16()) return detkit::avx512_bf16::name arguments;)
#else
#define DETKIT_PRODUCTS(name, parameters, arguments, asked) \
  DETKIT_KERNEL(name, parameters, arguments)
#endif
