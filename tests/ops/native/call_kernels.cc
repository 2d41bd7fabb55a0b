// Calls functions of the library of operators with the arguments that support/kernel_calls.py
// writes to the standard input, and writes what they return and fill: the same calls can then be
// made on two processors.
//
// A call is the name of a function and its arguments in turn. A number is its bytes. An array, also
// the one behind a struct's pointer, is the count of its bytes and these, or the count -1 for null.
// A list of arrays is their count and each array. The workspace of a convolution is left out.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels_conv.h"

// Of MXNet's lib_api.cc: the library accepts a version of MXNet, and counts its operators.
extern "C" int initialize(int version);
extern "C" int _opRegSize(void);

namespace {

struct Free {
  void operator()(char* memory) const { free(memory); }
};

// The arguments of one call, in their order, and the memory behind them.
class Call {
 public:
  template <class T>
  T number() {
    T value;
    read(&value, sizeof value);
    return value;
  }

  void* memory(size_t bytes) {
    memory_.emplace_back(static_cast<char*>(aligned_alloc(64, (bytes + 64) / 64 * 64)));
    return memory_.back().get();
  }

  void* array(bool is_output) {
    const int64_t bytes = number<int64_t>();
    if (bytes < 0) return nullptr;
    void* const data = memory(size_t(bytes));
    read(data, size_t(bytes));
    if (is_output) outputs_.emplace_back(data, size_t(bytes));
    return data;
  }

  template <class T>
  T* arrays() {
    const int64_t count = number<int64_t>();
    T* const list = static_cast<T*>(memory(size_t(count) * sizeof(T)));
    for (int64_t i = 0; i < count; ++i) {
      list[i] = static_cast<T>(array(!std::is_const_v<std::remove_pointer_t<T>>));
    }
    return list;
  }

  const DetkitLevel* levels() {
    const int64_t count = number<int64_t>();
    auto* const list = static_cast<DetkitLevel*>(memory(size_t(count) * sizeof(DetkitLevel)));
    for (int64_t i = 0; i < count; ++i) {
      list[i].anchors = number<int>();
      for (const float** values : {&list[i].boxes, &list[i].objectness, &list[i].deltas}) {
        *values = static_cast<const float*>(array(false));
      }
    }
    return list;
  }

  void write(int status) const {
    fwrite(&status, sizeof status, 1, stdout);
    for (const auto& [data, bytes] : outputs_) fwrite(data, 1, bytes, stdout);
  }

 private:
  static void read(void* to, size_t bytes) {
    if (fread(to, 1, bytes, stdin) == bytes) return;
    fputs("call_kernels: the input ends within a call\n", stderr);
    exit(1);
  }

  std::vector<std::unique_ptr<char, Free>> memory_;
  std::vector<std::pair<void*, size_t>> outputs_;
};

template <class T>
T next(Call& call) {
  if constexpr (std::is_same_v<T, const DetkitLevel*>) {
    return call.levels();
  } else if constexpr (std::is_same_v<T, void*>) {
    return nullptr;  // the workspace, whose size the other arguments decide
  } else if constexpr (std::is_pointer_v<std::remove_pointer_t<T>>) {
    return call.arrays<std::remove_const_t<std::remove_pointer_t<T>>>();
  } else if constexpr (std::is_pointer_v<T>) {
    return static_cast<T>(call.array(!std::is_const_v<std::remove_pointer_t<T>>));
  } else {
    return call.number<T>();
  }
}

template <class T>
int64_t room(int (*workspace)(const T*, int64_t*, int64_t*), const T* conv) {
  int64_t forward = 0, backward = 0;
  workspace(conv, &forward, &backward);
  return std::max(forward, backward);
}
int64_t room(const DetkitConv3x3* conv) { return room(detkit_conv3x3_workspace, conv); }
int64_t room(const DetkitConv1x1* conv) { return room(detkit_conv1x1_workspace, conv); }
int64_t room(const DetkitDepthwise* conv) { return room(detkit_depthwise_workspace, conv); }

template <class... T>
void make(int (*function)(T...), Call& call) {
  std::tuple<T...> arguments{next<T>(call)...};  // braces read them in their order
  if constexpr ((std::is_same_v<T, void*> || ...)) {
    std::get<void*>(arguments) = call.memory(size_t(room(std::get<0>(arguments))));
  }
  call.write(std::apply(function, arguments));
}

#define FUNCTION(name) {#name, [](Call& call) { make(name, call); }}
#define FORWARD_AND_BACKWARD(name) FUNCTION(name), FUNCTION(name##_backward)

const std::map<std::string, void (*)(Call&)> kFunctions = {
    FUNCTION(initialize),
    FUNCTION(_opRegSize),
    FUNCTION(detkit_isa),
    FUNCTION(detkit_nms),
    FUNCTION(detkit_proposals),
    FUNCTION(detkit_match),
    FUNCTION(detkit_mask_target),
    FUNCTION(detkit_mask_paste),
    FORWARD_AND_BACKWARD(detkit_roi_align),
    FORWARD_AND_BACKWARD(detkit_roi_pool),
    FORWARD_AND_BACKWARD(detkit_prroi_pool),
    FORWARD_AND_BACKWARD(detkit_crop_pool),
    FORWARD_AND_BACKWARD(detkit_conv3x3),
    FORWARD_AND_BACKWARD(detkit_conv1x1),
    FORWARD_AND_BACKWARD(detkit_depthwise),
    FORWARD_AND_BACKWARD(detkit_rectify),
    FORWARD_AND_BACKWARD(detkit_max_pool),
    FORWARD_AND_BACKWARD(detkit_upsample),
};

}  // namespace

int main() {
  char name[64];
  while (scanf("%63[^\n]", name) == 1) {
    fgetc(stdin);  // the end of the line
    const auto found = kFunctions.find(name);
    if (found == kFunctions.end()) return fprintf(stderr, "call_kernels: %s?\n", name), 1;
    Call call;
    found->second(call);
  }
}
