// The RoI operators as MXNet's: rois (R, 5), then the features (B, C, H, W) of one level or of
// several -> (R, C, P, P). They share one binding; each names its functions and their options.
#include <tuple>

#include "binding.h"

namespace detkit {

// The pyramid of a call, and pointers to its levels. `first` is the number of the input that is
// rois, which the features follow: 0 in a forward, and 1 in a backward, whose outputs are their
// gradients.
struct Pyramid {
  DetkitRoIs geometry = {};
  std::vector<const float*> features;
  std::vector<float*> gradients;
  int half;

  Pyramid(const Arguments& args, const Call& call, size_t first) : half(call.half(first + 1)) {
    require(!half || call.on_gpu(), "float16 is for the GPU alone: cast to float32");
    const std::vector<float> strides = args.reals("strides");
    geometry.images = call.dim(first + 1, 0), geometry.channels = call.dim(first + 1, 1);
    geometry.rois = call.dim(first, 0), geometry.size = args.integer("size");
    geometry.levels = static_cast<int>(strides.size());
    geometry.first_level = args.integer("first_level");
    geometry.canonical_level = args.integer("canonical_level");
    geometry.canonical_size = args.real("canonical_size");
    geometry.level_margin = args.real("level_margin");
    for (size_t i = 0; i < strides.size(); i++) {
      const size_t level = first + 1 + i;
      geometry.height[i] = call.dim(level, 2), geometry.width[i] = call.dim(level, 3);
      geometry.scale[i] = 1.0f / strides[i];
      features.push_back(call.in(level));
      if (first == 1) gradients.push_back(call.out(1 + i));
    }
  }
  // The CUDA kernels take float32 or float16 as void.
  const void* const* maps() const { return reinterpret_cast<const void* const*>(features.data()); }
  void* const* grads() const { return reinterpret_cast<void* const*>(gradients.data()); }
};

// The four functions of an operator.
#ifdef DETKIT_CUDA
#define DETKIT_CUDA_FUNCTIONS(operation)                        \
  static constexpr auto kCudaForward = detkit_cuda_##operation; \
  static constexpr auto kCudaBackward = detkit_cuda_##operation##_backward;
#else
#define DETKIT_CUDA_FUNCTIONS(operation)
#endif
#define DETKIT_FUNCTIONS(operation)                                \
  static constexpr const char* kName = "detkit_" #operation;       \
  static constexpr auto kForward = detkit_##operation;             \
  static constexpr auto kBackward = detkit_##operation##_backward; \
  DETKIT_CUDA_FUNCTIONS(operation)

// Options are the arguments of a function between the geometry and the features.
struct RoIAlign {
  DETKIT_FUNCTIONS(roi_align)
  static constexpr bool kGradientOfRoIs = false;
  static auto options(const Arguments& args) {
    return std::make_tuple(
        DetkitAlign{args.integer("sampling"), args.integer("aligned"), args.integer("mode")});
  }
};

struct RoIPool {
  DETKIT_FUNCTIONS(roi_pool)
  static constexpr bool kGradientOfRoIs = false;
  static auto options(const Arguments& args) { return std::make_tuple(args.integer("mode")); }
};

struct PrRoIPool {
  DETKIT_FUNCTIONS(prroi_pool)
  static constexpr bool kGradientOfRoIs = true;
  static auto options(const Arguments&) { return std::make_tuple(); }
};

struct CropPool {
  DETKIT_FUNCTIONS(crop_pool)
  static constexpr bool kGradientOfRoIs = false;
  static auto options(const Arguments&) { return std::make_tuple(); }
};

// The binding of one of these kinds of pooling.
template <class Kind>
struct RoIOperator : Operator {
  static constexpr const char* kName = Kind::kName;
  static constexpr int kOutputs = 1;
  static int inputs(const Arguments& args) {
    const size_t levels = args.reals("strides").size();
    require(levels >= 1 && levels <= DETKIT_MAX_LEVELS, "there are 1 to 8 strides");
    return 1 + static_cast<int>(levels);
  }

  // float16 features are for the GPU alone, and their RoIs stay float32.
  static void types(const Arguments&, std::vector<int>& in, std::vector<int>& out) {
    settle_type(in, 0, mxnet::ext::kFloat32);
    const int type = in[1] == mxnet::ext::kFloat16 ? mxnet::ext::kFloat16 : mxnet::ext::kFloat32;
    for (size_t i = 1; i < in.size(); i++) settle_type(in, i, type);
    out[0] = type;
  }
  static Shapes shapes(const Arguments& args, const Shapes& in) {
    require(in[0].size() == 2 && in[0][1] == 5, "rois are (R, 5)");
    for (size_t i = 1; i < in.size(); i++) {
      require(in[i].size() == 4, "features are (B, C, H, W)");
      require(in[i][0] == in[1][0] && in[i][1] == in[1][1], "all levels have the same B and C");
    }
    const unsigned size = static_cast<unsigned>(args.integer("size"));
    return {{in[0][0], in[1][1], size, size}};
  }

  static int forward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 0);
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return run(Kind::kCudaForward, args, p, p.maps(), call.in(0), call.out(0), p.half,
                 call.stream());
    }
#endif
    return run(Kind::kForward, args, p, p.features.data(), call.in(0), call.out(0));
  }
  static int backward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 1);
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      void* workspace = call.workspace(detkit_cuda_roi_backward_workspace(&p.geometry, p.half));
      return run_backward(Kind::kCudaBackward, args, call, p, p.maps(), p.grads(), p.half,
                          workspace, call.stream());
    }
#endif
    return run_backward(Kind::kBackward, args, call, p, p.features.data(), p.gradients.data());
  }

 private:
  static const DetkitAlign* passed(const DetkitAlign& align) { return &align; }
  static int passed(int mode) { return mode; }

  template <class Function, class... Rest>
  static int run(Function function, const Arguments& args, const Pyramid& p, Rest... rest) {
    const auto with_options = [&](const auto&... options) {
      return function(&p.geometry, passed(options)..., rest...);
    };
    return std::apply(with_options, Kind::options(args));
  }

  // RoIs without a gradient of their own get zeros. A function with such a gradient takes it after
  // those of the features.
  template <class Function, class Features, class Gradients, class... Rest>
  static int run_backward(Function function, const Arguments& args, const Call& call,
                          const Pyramid& p, Features features, Gradients gradients, Rest... rest) {
    const float *rois = call.in(1), *grad_out = call.in(0);
    if constexpr (Kind::kGradientOfRoIs) {
      return run(function, args, p, features, rois, grad_out, gradients, call.out(0), rest...);
    } else {
      call.zero(0);
      return run(function, args, p, features, rois, grad_out, gradients, rest...);
    }
  }
};

DETKIT_OPERATOR(detkit_roi_align, RoIOperator<RoIAlign>);
DETKIT_OPERATOR(detkit_roi_pool, RoIOperator<RoIPool>);
DETKIT_OPERATOR(detkit_prroi_pool, RoIOperator<PrRoIPool>);
DETKIT_OPERATOR(detkit_crop_pool, RoIOperator<CropPool>);

}  // namespace detkit
