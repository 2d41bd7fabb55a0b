// The convolutions and what follows them as operators of MXNet, for CPUs: a GPU has MXNet's own.
#include "../kernels_conv.h"
#include "binding.h"

namespace detkit {

// The shape of the maps that a stride leaves.
static Shape strided(const Arguments& args, const Shape& data, unsigned channels) {
  const int stride = args.integer("stride");
  require(stride == 1 || stride == 2, "the stride is 1 or 2");
  const unsigned step = static_cast<unsigned>(stride);
  return {data[0], channels, (data[2] + step - 1) / step, (data[3] + step - 1) / step};
}

// Throws if the weights do not have as many numbers as their shape promised: to MXNet, an array
// without a channel looks like a parameter that waits for its shape.
static void require_weights(const Call& call, size_t data, int taps) {
  const int64_t pairs = int64_t{call.dim(data + 1, 0)} * call.dim(data, 1);
  require(call.size(data + 1) == pairs * taps, "weights are (out, C, kernel)");
}

// data (B, in, H, W), weights (out, in, 3, 3), bias (out) -> (B, out, H, W)
struct Conv3x3 : Operator {
  static constexpr const char* kName = "detkit_conv3x3";
  static constexpr int kOutputs = 1;
  static int inputs(const Arguments& args) { return has_bias(args) ? 3 : 2; }
  static bool has_bias(const Arguments& args) { return args.integer("no_bias") == 0; }

  // A parameter that waits for its shape has a dimension of 0, which MXNet hands over as -1.
  static Shapes shapes(const Arguments& args, Shapes& in) {
    require(in[0].size() == 4, "data are (B, C, H, W)");
    if (in[1].size() == 4 && static_cast<int>(in[1][1]) <= 0) in[1][1] = in[0][1];
    require(in[1].size() == 4 && in[1][1] == in[0][1] && in[1][2] == 3 && in[1][3] == 3,
            "weights are (out, C, 3, 3)");
    require(!has_bias(args) || in[2] == Shape({in[1][0]}), "bias is (out)");
    const bool pools = args.integer("pools", 0) != 0;
    require(!pools || (in[0][2] > 1 && in[0][3] > 1), "data to be pooled have H, W > 1");
    const unsigned step = pools ? 2 : 1;
    return {{in[0][0], in[1][0], in[0][2] / step, in[0][3] / step}};
  }

  // The arrays of the forward pass begin at the input `first`.
  static DetkitConv3x3 convolution(const Arguments& args, const Call& call, size_t first) {
    require_weights(call, first, 9);
    DetkitConv3x3 conv = {};
    conv.images = call.dim(first, 0), conv.in_channels = call.dim(first, 1);
    conv.height = call.dim(first, 2), conv.width = call.dim(first, 3);
    conv.out_channels = call.dim(first + 1, 0);
    conv.relu = args.integer("relu");
    conv.most = args.real("most");
    conv.bfloat16 = args.integer("bfloat16");
    conv.keeps = args.integer("keeps", 0);
    conv.pools = args.integer("pools", 0);
    return conv;
  }

  static int forward(const Arguments& args, const Call& call) {
    const DetkitConv3x3 conv = convolution(args, call, 0);
    int64_t bytes = 0, backward = 0;
    const int status = detkit_conv3x3_workspace(&conv, &bytes, &backward);
    if (status != DETKIT_OK) return status;
    const float* bias = has_bias(args) ? call.in(2) : nullptr;
    return detkit_conv3x3(&conv, call.in(0), call.in(1), bias, call.memory(bytes), call.out(0));
  }

  static int backward(const Arguments& args, const Call& call) {
    const DetkitConv3x3 conv = convolution(args, call, 1);
    const bool bias = has_bias(args);
    int64_t forward = 0, bytes = 0;
    const int status = detkit_conv3x3_workspace(&conv, &forward, &bytes);
    if (status != DETKIT_OK) return status;
    return detkit_conv3x3_backward(&conv, call.in(1), call.in(2), call.in(bias ? 4 : 3), call.in(0),
                                   call.memory(bytes), call.out(0), call.out(1),
                                   bias ? call.out(2) : nullptr);
  }
};

// data (B, in, H, W), weights (out, in, 1, 1), bias (out), residual (B, out, H', W')
// -> (B, out, H', W')
struct Conv1x1 : Operator {
  static constexpr const char* kName = "detkit_conv1x1";
  static constexpr int kOutputs = 1;
  static int inputs(const Arguments& args) { return 2 + has_bias(args) + has_residual(args); }
  static bool has_bias(const Arguments& args) { return args.integer("no_bias") == 0; }
  static bool has_residual(const Arguments& args) { return args.integer("residual") != 0; }

  // A parameter that waits for its shape has a dimension of 0, which MXNet hands over as -1.
  static Shapes shapes(const Arguments& args, Shapes& in) {
    require(in[0].size() == 4, "data are (B, C, H, W)");
    if (in[1].size() == 4 && static_cast<int>(in[1][1]) <= 0) in[1][1] = in[0][1];
    require(in[1].size() == 4 && in[1][1] == in[0][1] && in[1][2] == 1 && in[1][3] == 1,
            "weights are (out, C, 1, 1)");
    require(!has_bias(args) || in[2] == Shape({in[1][0]}), "bias is (out)");
    const Shape out = strided(args, in[0], in[1][0]);
    require(!has_residual(args) || in.back() == out, "the residual has the shape of the output");
    return {out};
  }

  // The arrays of the forward pass begin at the input `first`. An array of weights without a
  // channel passes for one that waits for its shape.
  static DetkitConv1x1 convolution(const Arguments& args, const Call& call, size_t first) {
    require(call.size(first + 1) == int64_t{call.dim(first + 1, 0)} * call.dim(first, 1),
            "weights are (out, C, 1, 1)");
    DetkitConv1x1 conv = {};
    conv.images = call.dim(first, 0), conv.in_channels = call.dim(first, 1);
    conv.height = call.dim(first, 2), conv.width = call.dim(first, 3);
    conv.out_channels = call.dim(first + 1, 0);
    conv.stride = args.integer("stride");
    conv.relu = args.integer("relu");
    conv.most = args.real("most");
    conv.bfloat16 = args.integer("bfloat16");
    return conv;
  }

  static int forward(const Arguments& args, const Call& call) {
    const DetkitConv1x1 conv = convolution(args, call, 0);
    int64_t bytes = 0, backward = 0;
    const int status = detkit_conv1x1_workspace(&conv, &bytes, &backward);
    if (status != DETKIT_OK) return status;
    const bool bias = has_bias(args);
    return detkit_conv1x1(&conv, call.in(0), call.in(1), bias ? call.in(2) : nullptr,
                          has_residual(args) ? call.in(bias ? 3 : 2) : nullptr, call.memory(bytes),
                          call.out(0));
  }

  static int backward(const Arguments& args, const Call& call) {
    const DetkitConv1x1 conv = convolution(args, call, 1);
    const bool bias = has_bias(args), residual = has_residual(args);
    int64_t forward = 0, bytes = 0;
    const int status = detkit_conv1x1_workspace(&conv, &forward, &bytes);
    if (status != DETKIT_OK) return status;
    const size_t out = 3 + bias + residual;
    return detkit_conv1x1_backward(
        &conv, call.in(1), call.in(2), call.in(out), call.in(0), call.memory(bytes), call.out(0),
        call.out(1), bias ? call.out(2) : nullptr, residual ? call.out(bias ? 3 : 2) : nullptr);
  }
};

// data (B, C, H, W), weights (C, 1, 3, 3), bias (C) -> (B, C, H', W')
struct Depthwise : Operator {
  static constexpr const char* kName = "detkit_depthwise";
  static constexpr int kOutputs = 1;
  static int inputs(const Arguments& args) { return has_bias(args) ? 3 : 2; }
  static bool has_bias(const Arguments& args) { return args.integer("no_bias") == 0; }

  static Shapes shapes(const Arguments& args, const Shapes& in) {
    require(in[0].size() == 4, "data are (B, C, H, W)");
    require(in[1] == Shape({in[0][1], 1, 3, 3}), "weights are (C, 1, 3, 3)");
    require(!has_bias(args) || in[2] == Shape({in[0][1]}), "bias is (C)");
    return {strided(args, in[0], in[0][1])};
  }

  // The arrays of the forward pass begin at the input `first`.
  static DetkitDepthwise convolution(const Arguments& args, const Call& call, size_t first) {
    DetkitDepthwise conv = {};
    conv.images = call.dim(first, 0), conv.channels = call.dim(first, 1);
    conv.height = call.dim(first, 2), conv.width = call.dim(first, 3);
    conv.stride = args.integer("stride");
    conv.relu = args.integer("relu");
    conv.most = args.real("most");
    return conv;
  }

  static int forward(const Arguments& args, const Call& call) {
    const DetkitDepthwise conv = convolution(args, call, 0);
    int64_t bytes = 0, backward = 0;
    const int status = detkit_depthwise_workspace(&conv, &bytes, &backward);
    if (status != DETKIT_OK) return status;
    const float* bias = has_bias(args) ? call.in(2) : nullptr;
    return detkit_depthwise(&conv, call.in(0), call.in(1), bias, call.memory(bytes), call.out(0));
  }

  static int backward(const Arguments& args, const Call& call) {
    const DetkitDepthwise conv = convolution(args, call, 1);
    const bool bias = has_bias(args);
    int64_t forward = 0, bytes = 0;
    const int status = detkit_depthwise_workspace(&conv, &forward, &bytes);
    if (status != DETKIT_OK) return status;
    return detkit_depthwise_backward(&conv, call.in(1), call.in(2), call.in(bias ? 4 : 3),
                                     call.in(0), call.memory(bytes), call.out(0), call.out(1),
                                     bias ? call.out(2) : nullptr);
  }
};

// data -> the same shape
struct Rectify : Operator {
  static constexpr const char* kName = "detkit_rectify";
  static constexpr int kOutputs = 1;
  static int inputs(const Arguments&) { return 1; }
  static Shapes shapes(const Arguments&, const Shapes& in) { return {in[0]}; }

  static int forward(const Arguments& args, const Call& call) {
    return detkit_rectify(call.size(0), args.real("most"), call.in(0), call.out(0));
  }
  static int backward(const Arguments& args, const Call& call) {
    return detkit_rectify_backward(call.size(1), args.real("most"), call.in(2), call.in(0),
                                   call.out(0));
  }
};

// data (B, C, H, W) -> (B, C, H / 2, W / 2)
struct MaxPool : Operator {
  static constexpr const char* kName = "detkit_max_pool";
  static constexpr int kOutputs = 1;
  static int inputs(const Arguments&) { return 1; }

  static Shapes shapes(const Arguments&, const Shapes& in) {
    require(in[0].size() == 4 && in[0][2] > 1 && in[0][3] > 1, "data are (B, C, H, W), H, W > 1");
    return {{in[0][0], in[0][1], in[0][2] / 2, in[0][3] / 2}};
  }
  static int64_t planes(const Call& call, size_t input) {
    return int64_t{call.dim(input, 0)} * call.dim(input, 1);
  }
  static int forward(const Arguments&, const Call& call) {
    return detkit_max_pool(planes(call, 0), call.dim(0, 2), call.dim(0, 3), call.in(0),
                           call.out(0));
  }
  static int backward(const Arguments&, const Call& call) {
    return detkit_max_pool_backward(planes(call, 1), call.dim(1, 2), call.dim(1, 3), call.in(1),
                                    call.in(0), call.out(0));
  }
};

// data (B, C, H, W), a map (B', C', rows, columns) of which only the size is read
// -> (B, C, rows, columns)
struct Upsample : Operator {
  static constexpr const char* kName = "detkit_upsample";
  static constexpr int kOutputs = 1;
  static int inputs(const Arguments&) { return 2; }

  static Shapes shapes(const Arguments&, const Shapes& in) {
    require(in[0].size() == 4 && in[1].size() == 4, "data and the map are (B, C, H, W)");
    require(in[1][2] <= 2 * in[0][2] && in[1][3] <= 2 * in[0][3],
            "the map has at most twice the rows and columns of the data");
    return {{in[0][0], in[0][1], in[1][2], in[1][3]}};
  }
  static int64_t planes(const Call& call, size_t input) {
    return int64_t{call.dim(input, 0)} * call.dim(input, 1);
  }
  static int forward(const Arguments&, const Call& call) {
    return detkit_upsample(planes(call, 0), call.dim(0, 2), call.dim(0, 3), call.dim(1, 2),
                           call.dim(1, 3), call.in(0), call.out(0));
  }
  static int backward(const Arguments&, const Call& call) {
    call.zero(1);
    return detkit_upsample_backward(planes(call, 1), call.dim(1, 2), call.dim(1, 3), call.dim(2, 2),
                                    call.dim(2, 3), call.in(0), call.out(0));
  }
};

DETKIT_CPU_OPERATOR(detkit_conv3x3, Conv3x3);
DETKIT_CPU_OPERATOR(detkit_conv1x1, Conv1x1);
DETKIT_CPU_OPERATOR(detkit_depthwise, Depthwise);
DETKIT_CPU_OPERATOR(detkit_rectify, Rectify);
DETKIT_CPU_OPERATOR(detkit_max_pool, MaxPool);
DETKIT_CPU_OPERATOR(detkit_upsample, Upsample);

}  // namespace detkit
