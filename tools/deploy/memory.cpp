#include "memory.hpp"

#include <future>

#include "predictor.hpp"
#include "system.hpp"

namespace detkit {
namespace {

constexpr size_t kMiB = 1 << 20;

// Makes a detector in a thread of its own. `meanwhile` runs in the thread after that.
void try_one(const Trial& trial, const std::function<void()>& meanwhile) {
  const auto run = [&] {
    const std::unique_ptr<Detector> detector = trial();
    meanwhile();
  };
  std::async(std::launch::async, run).get();
}

}  // namespace

void prepare_for_limit() {
  const size_t limit = limit_of_addresses();
  if (!limit) return;
  if (limit < kBackend.least_mib * kMiB) {
    throw Error("expected a limit of at least " + std::to_string(kBackend.least_mib) +
                " MiB of addresses (ulimit -v), which " + kBackend.name + " needs, found " +
                std::to_string(limit / kMiB) + " MiB; raise the limit");
  }
  share_heaps();
}

void check_memory(size_t threads, const Trial& trial) {
  const size_t limit = limit_of_addresses();
  if (threads < 3 || !limit) return;
  size_t with_two = 0, with_three = 0;
  try_one(trial, [&] {
    with_two = addresses();  // and what MXNet makes once, when a network runs
    try_one(trial, [&] { with_three = addresses(); });
  });
  const size_t one = 2 * (with_three - with_two);  // other images, and all at once, need more
  if (!one || threads <= 3 + (limit - with_three) / one) return;
  // From run to run, the same detector may seem to take half more: the advice has to hold then.
  const size_t most = 3 + (limit - with_three) / (one + one / 2);
  throw Error("--threads " + std::to_string(threads) + ": expected " +
              std::to_string((with_three + (threads - 3) * one) / kMiB) + " MiB of addresses for " +
              std::to_string(threads) + " detectors, found a limit of " +
              std::to_string(limit / kMiB) + " MiB (ulimit -v); use at most " +
              std::to_string(most) + " threads");
}

}  // namespace detkit
