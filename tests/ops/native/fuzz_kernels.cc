// Calls the kernels with random cases, for the sanitizers to watch; tools/fuzz_ops.py builds it.
//
//   fuzz_kernels --seed S --first K --cases N [--only OP] [--digests FILE]
//
// A case follows from the seed and its number alone. Besides what the sanitizers see, every element
// has to be written, and what is written is checked as far as that is cheap: ranges, order, no NaN
// from finite input, that backward of an RoI kernel is the adjoint of its forward, and some numbers
// of a convolution against plain sums. The first failure names its case and ends the process. FILE
// gets 8 bytes for each case, a digest of what the box kernels wrote, which has to be the same on
// every instruction set.
#include "fuzz_kernels.h"

#include <iterator>

// UBSan has a run-time library of its own in GCC, which knows nothing of death callbacks.
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }

namespace {

constexpr unsigned kSeconds = 60;  // for kBetweenAlarms cases, the slowest a sanitizer makes
constexpr long long kBetweenAlarms = 64;

struct Op {
  const char* name;
  void (*fuzz)(Random&, uint64_t* digest);
};

constexpr Op kOps[] = {
    {"nms", fuzz_nms},
    {"proposals", fuzz_proposals},
    {"match", fuzz_match},
    {"roi_align", fuzz_roi_align},
    {"roi_pool", fuzz_roi_pool},
    {"prroi_pool", fuzz_prroi_pool},
    {"crop_pool", fuzz_crop_pool},
    {"mask_target", fuzz_mask_target},
    {"mask_paste", fuzz_mask_paste},
    {"conv3x3", fuzz_conv3x3},
    {"conv1x1", fuzz_conv1x1},
    {"depthwise", fuzz_depthwise},
    {"max_pool", fuzz_max_pool},
    {"upsample", fuzz_upsample},
    {"rectify", fuzz_rectify},
};

int usage(const char* program) {
  fprintf(stderr, "usage: %s [--seed S] [--first K] [--cases N] [--only OP] [--digests FILE]\nOP:",
          program);
  for (const Op& op : kOps) fprintf(stderr, " %s", op.name);
  fprintf(stderr, "\n");
  return 2;
}

bool parse(int count, char** words) {
  for (int i = 1; i + 1 < count; i += 2) {
    const char *name = words[i], *value = words[i + 1];
    if (!strcmp(name, "--seed")) {
      running.seed = strtoull(value, nullptr, 10);
    } else if (!strcmp(name, "--first")) {
      running.first = atoll(value);
    } else if (!strcmp(name, "--cases")) {
      running.cases = atoll(value);
    } else if (!strcmp(name, "--digests")) {
      running.digests = value;
    } else if (!strcmp(name, "--only")) {
      running.only = value;
    } else {
      return false;
    }
  }
  const auto asked = [](const Op& op) { return !running.only || !strcmp(op.name, running.only); };
  return count % 2 == 1 && std::any_of(std::begin(kOps), std::end(kOps), asked);
}

// The digest of one case.
uint64_t run_case(long long number) {
  running.number = number;
  Random random(running.seed, uint64_t(number));
  Op op = random.one_of(kOps);
  for (const Op& other : kOps) {
    if (running.only && !strcmp(other.name, running.only)) op = other;
  }
  running.op = op.name;
  uint64_t digest = 14695981039346656037u;  // FNV-1a's
  op.fuzz(random, &digest);
  return digest;
}

}  // namespace

int main(int count, char** words) {
  if (!parse(count, words)) return usage(words[0]);
  watch();
  FILE* digests = running.digests ? fopen(running.digests, "wb") : nullptr;
  if (running.digests && !digests) {
    perror(running.digests);
    return 2;
  }
  for (long long number = running.first; number < running.first + running.cases; ++number) {
    if ((number - running.first) % kBetweenAlarms == 0) alarm(kSeconds);
    const uint64_t digest = run_case(number);
    if (digests) fwrite(&digest, sizeof digest, 1, digests);
  }
  if (digests && fclose(digests) != 0) {
    perror(running.digests);
    return 2;
  }
  printf("%d\n", detkit_isa());
}
