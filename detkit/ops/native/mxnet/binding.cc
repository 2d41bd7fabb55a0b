// The parts of the binding that are the same for every operator.
#include "binding.h"

#include <climits>
#include <cstring>
#include <new>
#include <sstream>
#ifdef DETKIT_CUDA
#include <cuda_runtime_api.h>
#endif

namespace detkit {

namespace ext = mxnet::ext;

void require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

const std::string& Arguments::text(const char* name) const {
  const auto found = map_.find(name);
  require(found != map_.end(), std::string("the argument ") + name + " is missing");
  return found->second;
}

int Arguments::integer(const char* name) const {
  const std::string& value = text(name);
  if (value == "True" || value == "False") return value == "True";
  return std::stoi(value);
}

int Arguments::integer(const char* name, int if_missing) const {
  return map_.count(name) ? integer(name) : if_missing;
}

float Arguments::real(const char* name) const { return std::stof(text(name)); }

std::vector<float> Arguments::reals(const char* name) const {
  std::string list = text(name);
  for (char& c : list) {
    if (strchr("()[],", c)) c = ' ';
  }
  std::istringstream stream(list);
  std::vector<float> values;
  for (float value; stream >> value;) values.push_back(value);
  return values;
}

void Call::zero(size_t output) const {
  static const size_t kBytes[] = {4, 8, 2, 1, 4, 1, 8};  // in the order of MXDType
  const MXTensor& array = out_.at(output);
  const size_t bytes = static_cast<size_t>(array.size()) * kBytes[array.dtype];
#ifdef DETKIT_CUDA
  if (on_gpu()) {
    cudaMemsetAsync(array.data_ptr, 0, bytes, static_cast<cudaStream_t>(stream()));
    return;
  }
#endif
  memset(array.data_ptr, 0, bytes);
}

void* Call::workspace(size_t bytes) const {
  require(bytes <= INT_MAX, "needs more than 2 GB of scratch memory: use smaller batches");
  return bytes ? resource_.alloc_gpu(static_cast<int>(bytes)) : nullptr;
}

void* Call::memory(int64_t bytes) const {
  constexpr int kAlignment = 64;
  void* memory = nullptr;
  if (bytes <= INT_MAX - kAlignment) {
    memory = resource_.alloc_cpu(static_cast<int>(bytes) + kAlignment);
  } else {
    own_.reset(new char[static_cast<size_t>(bytes) + kAlignment]);
    memory = own_.get();
  }
  const uintptr_t start = reinterpret_cast<uintptr_t>(memory);
  return reinterpret_cast<void*>((start + kAlignment - 1) / kAlignment * kAlignment);
}

void settle_type(std::vector<int>& in, size_t input, int type) {
  static const char* const kNames[] = {"float32", "float64", "float16", "uint8",
                                       "int32",   "int8",    "int64"};
  if (in.at(input) < 0 || in[input] == ext::kUNSET) in[input] = type;
  require(in[input] == type, "input " + std::to_string(input) + " has to be " + kNames[type] +
                                 " and is " + (in[input] < 7 ? kNames[in[input]] : "another type"));
}

void Operator::types(const Arguments&, std::vector<int>& in, std::vector<int>& out) {
  for (size_t i = 0; i < in.size(); i++) settle_type(in, i, ext::kFloat32);
  out.assign(out.size(), ext::kFloat32);
}

int Operator::backward(const Arguments&, const Call& call) {
  for (size_t i = 0; i < call.outputs(); i++) call.zero(i);
  return DETKIT_OK;
}

MXReturnValue guarded(const char* name, const char* stage, const std::function<int()>& body) {
  const char* reason = "a CUDA error";
  try {
    const int status = body();
    if (status == DETKIT_OK) return ext::MX_SUCCESS;
    if (status == DETKIT_OUT_OF_MEMORY) reason = "out of memory";
    if (status == DETKIT_BAD_ARGUMENT) reason = "an argument is out of range";
    MX_ERROR_MSG << name << ", " << stage << ": " << reason;
  } catch (const std::exception& error) {
    MX_ERROR_MSG << name << ", " << stage << ": " << error.what();
  }
  return ext::MX_FAIL;
}

}  // namespace detkit

// MXNet calls this once, when it loads the library.
mxnet::ext::MXReturnValue initialize(int version) {
  if (version >= 10900) return mxnet::ext::MX_SUCCESS;
  MX_ERROR_MSG << "detkit's operators need MXNet 1.9 or later, not " << version;
  return mxnet::ext::MX_FAIL;
}
