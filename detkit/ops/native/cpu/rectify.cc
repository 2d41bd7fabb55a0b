// A ReLU with an upper bound, as MobileNets use it.
#include "../checks.h"
#include "simd.h"
#include "threads.h"

namespace detkit {
namespace DETKIT_ISA {
namespace {

constexpr int64_t kChunk = 1 << 14;  // elements of a task

// body(start, count) for chunks of all elements, shared among threads.
template <class Body>
void for_chunks(int64_t count, const Body& body) {
  const int64_t chunks = (count + kChunk - 1) / kChunk;
#pragma omp parallel for num_threads(threads_for(chunks, 4e3)) schedule(static)
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t start = chunk * kChunk;
    body(start, count - start < kChunk ? count - start : kChunk);
  }
}

}  // namespace

int rectify(int64_t count, float most, const float* data, float* out) {
  if (!is_valid_rectify(count, most)) return DETKIT_BAD_ARGUMENT;
  for_chunks(count, [&](int64_t start, int64_t elements) {
    for (int64_t i = 0; i < elements; i += kLanes) {
      const int left = static_cast<int>(elements - i);
      const Floats x = load_up_to(data + start + i, left);
      store_up_to(out + start + i, min(spread(most), max(Floats{}, x)), left);
    }
  });
  return DETKIT_OK;
}

int rectify_backward(int64_t count, float most, const float* out, const float* grad_out,
                     float* grad_data) {
  if (!is_valid_rectify(count, most)) return DETKIT_BAD_ARGUMENT;
  for_chunks(count, [&](int64_t start, int64_t elements) {
    for (int64_t i = 0; i < elements; i += kLanes) {
      const int left = static_cast<int>(elements - i);
      const Floats y = load_up_to(out + start + i, left);
      const Floats gradient = load_up_to(grad_out + start + i, left);
      const Ints passes = (y > Floats{}) & (y < spread(most));
      store_up_to(grad_data + start + i, passes ? gradient : Floats{}, left);
    }
  });
  return DETKIT_OK;
}

}  // namespace DETKIT_ISA
}  // namespace detkit

DETKIT_KERNEL(rectify, (int64_t count, float most, const float* data, float* out),
              (count, most, data, out))
DETKIT_KERNEL(rectify_backward,
              (int64_t count, float most, const float* out, const float* grad_out,
               float* grad_data),
              (count, most, out, grad_out, grad_data))
