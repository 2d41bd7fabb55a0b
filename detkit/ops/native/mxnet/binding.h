// The thin layer between MXNet's operators and the kernels: arguments, shapes, types, backward.
//
// An operator is a struct that derives from Operator and has these static members:
//   int inputs(const Arguments&)                        the number of arrays that it takes
//   int kOutputs                                        the number of arrays that it returns
//   Shapes shapes(const Arguments&, const Shapes& in)   the shapes of the outputs; one that takes
//                                                       Shapes& may settle an unknown dimension
//   int forward(const Arguments&, const Call&)          runs it; returns a kernel's status
// It has types() and backward() if the defaults of Operator are not right. DETKIT_OPERATOR makes an
// MXNet operator of it. Every operator has a backward, because MXNet refuses even the forward of
// one that has none once it is in a graph. MXNet does not tell a library's backward to add to a
// gradient, so each backward overwrites it: detkit/ops puts an identity in front if that matters.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "../kernels.h"
#pragma GCC visibility push(default)  // MXNet looks up the functions declared here by name
#include "mxnet/lib_api.h"
#pragma GCC visibility pop
#ifdef DETKIT_CUDA
#include "../cuda/kernels_cuda.h"
#endif

namespace detkit {

using mxnet::ext::MXReturnValue;
using mxnet::ext::MXTensor;
using mxnet::ext::OpResource;
using Shape = std::vector<unsigned int>;
using Shapes = std::vector<Shape>;

// Throws std::invalid_argument, which becomes MXNet's error, if the condition does not hold.
void require(bool holds, const std::string& message);

// The keyword arguments of an operator, which MXNet hands over as text.
class Arguments {
 public:
  using Map = std::unordered_map<std::string, std::string>;
  explicit Arguments(const Map& map) : map_(map) {}

  int integer(const char* name) const;
  int integer(const char* name, int if_missing) const;
  float real(const char* name) const;
  std::vector<float> reals(const char* name) const;  // reads "(1, 2.5)"

 private:
  const std::string& text(const char* name) const;
  const Map& map_;
};

// The arrays of one call, and the device that it runs on.
class Call {
 public:
  Call(std::vector<MXTensor>* in, std::vector<MXTensor>* out, const OpResource& resource)
      : in_(*in), out_(*out), resource_(resource) {}

  template <class T = float>
  const T* in(size_t i) const {
    return static_cast<const T*>(in_.at(i).data_ptr);
  }
  template <class T = float>
  T* out(size_t i) const {
    return static_cast<T*>(out_.at(i).data_ptr);
  }
  int dim(size_t input, size_t axis) const {
    return static_cast<int>(in_.at(input).shape.at(axis));
  }
  int64_t size(size_t input) const { return in_.at(input).size(); }
  bool half(size_t input) const { return in_.at(input).dtype == mxnet::ext::kFloat16; }
  size_t outputs() const { return out_.size(); }
  void zero(size_t output) const;

  bool on_gpu() const { return out_.at(0).ctx.dev_type == "gpu"; }
  void* stream() const { return resource_.get_cuda_stream(); }
  void* workspace(size_t bytes) const;  // memory on the GPU, until the call ends
  void* memory(int64_t bytes) const;    // memory of the CPU, until the call ends; ask once

 private:
  mutable std::unique_ptr<char[]> own_;  // if MXNet cannot hand out so much
  std::vector<MXTensor>& in_;
  std::vector<MXTensor>& out_;
  const OpResource& resource_;
};

// The defaults of an operator: all arrays are float32, and the gradient is zero.
struct Operator {
  static void types(const Arguments&, std::vector<int>& in, std::vector<int>& out);
  static int backward(const Arguments&, const Call& call);
};

// Sets the type of an input if it is not known yet. Throws if it is another.
void settle_type(std::vector<int>& in, size_t input, int type);

// Runs the body. What it throws, and any status but DETKIT_OK, becomes MXNet's error.
MXReturnValue guarded(const char* name, const char* stage, const std::function<int()>& body);

// MXNet's callbacks for an operator.
template <class Op>
struct Binding {
  static MXReturnValue parse(const Arguments::Map& map, int* inputs, int* outputs) {
    return guarded(Op::kName, "arguments", [&] {
      *inputs = Op::inputs(Arguments(map));
      *outputs = Op::kOutputs;
      return DETKIT_OK;
    });
  }
  static MXReturnValue infer_type(const Arguments::Map& map, std::vector<int>* in,
                                  std::vector<int>* out) {
    return guarded(Op::kName, "types", [&] {
      Op::types(Arguments(map), *in, *out);
      return DETKIT_OK;
    });
  }
  static MXReturnValue infer_shape(const Arguments::Map& map, Shapes* in, Shapes* out) {
    return guarded(Op::kName, "shapes", [&] {
      *out = Op::shapes(Arguments(map), *in);
      return DETKIT_OK;
    });
  }
  static MXReturnValue forward(const Arguments::Map& map, std::vector<MXTensor>* in,
                               std::vector<MXTensor>* out, const OpResource& resource) {
    return guarded(Op::kName, "forward",
                   [&] { return Op::forward(Arguments(map), Call(in, out, resource)); });
  }
  // in: the gradients of the outputs, the inputs, the outputs. out: the gradients of the inputs.
  static MXReturnValue backward(const Arguments::Map& map, std::vector<MXTensor>* in,
                                std::vector<MXTensor>* out, const OpResource& resource) {
    return guarded(Op::kName, "backward",
                   [&] { return Op::backward(Arguments(map), Call(in, out, resource)); });
  }
};

#ifdef DETKIT_CUDA
#define DETKIT_ON_GPU(Op) \
  .setForward(Binding<Op>::forward, "gpu").setBackward(Binding<Op>::backward, "gpu")
#else
#define DETKIT_ON_GPU(Op)
#endif

#define DETKIT_CPU_OPERATOR(name, Op)          \
  using namespace mxnet::ext;                  \
  REGISTER_OP(name)                            \
      .setParseAttrs(Binding<Op>::parse)       \
      .setInferType(Binding<Op>::infer_type)   \
      .setInferShape(Binding<Op>::infer_shape) \
      .setForward(Binding<Op>::forward, "cpu") \
      .setBackward(Binding<Op>::backward, "cpu")
#define DETKIT_OPERATOR(name, Op) DETKIT_CPU_OPERATOR(name, Op) DETKIT_ON_GPU(Op)

}  // namespace detkit
