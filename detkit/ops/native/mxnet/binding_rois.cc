// The RoI operators as MXNet's: rois (R, 5), then the features (B, C, H, W) of one level or of
// several -> (R, C, P, P). They share their geometry; each adds how it pools.
#include "binding.h"

namespace detkit {

struct RoIOperator : Operator {
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
};

// The pyramid of a call and pointers to its levels. first is the first of the inputs that are rois
// and features: 0 in a forward, 1 in a backward, where the outputs are their gradients.
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
  // float32 or float16: what the CUDA kernels call any of the two.
  const void* const* maps() const { return reinterpret_cast<const void* const*>(features.data()); }
  void* const* grads() const { return reinterpret_cast<void* const*>(gradients.data()); }
};

#ifdef DETKIT_CUDA
static void* backward_workspace(const Pyramid& p, const Call& call) {
  return call.workspace(detkit_cuda_roi_backward_workspace(&p.geometry, p.half));
}
#endif

struct RoIAlign : RoIOperator {
  static constexpr const char* kName = "detkit_roi_align";

  static int forward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 0);
    const DetkitAlign align = {args.integer("sampling"), args.integer("aligned"),
                               args.integer("mode")};
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_roi_align(&p.geometry, &align, p.maps(), call.in(0), call.out(0), p.half,
                                   call.stream());
    }
#endif
    return detkit_roi_align(&p.geometry, &align, p.features.data(), call.in(0), call.out(0));
  }
  static int backward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 1);
    const DetkitAlign align = {args.integer("sampling"), args.integer("aligned"),
                               args.integer("mode")};
    call.zero(0);
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_roi_align_backward(&p.geometry, &align, p.maps(), call.in(1), call.in(0),
                                            p.grads(), p.half, backward_workspace(p, call),
                                            call.stream());
    }
#endif
    return detkit_roi_align_backward(&p.geometry, &align, p.features.data(), call.in(1), call.in(0),
                                     p.gradients.data());
  }
};

struct RoIPool : RoIOperator {
  static constexpr const char* kName = "detkit_roi_pool";

  static int forward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 0);
    const int mode = args.integer("mode");
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_roi_pool(&p.geometry, mode, p.maps(), call.in(0), call.out(0), p.half,
                                  call.stream());
    }
#endif
    return detkit_roi_pool(&p.geometry, mode, p.features.data(), call.in(0), call.out(0));
  }
  static int backward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 1);
    const int mode = args.integer("mode");
    call.zero(0);
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_roi_pool_backward(&p.geometry, mode, p.maps(), call.in(1), call.in(0),
                                           p.grads(), p.half, backward_workspace(p, call),
                                           call.stream());
    }
#endif
    return detkit_roi_pool_backward(&p.geometry, mode, p.features.data(), call.in(1), call.in(0),
                                    p.gradients.data());
  }
};

struct PrRoIPool : RoIOperator {
  static constexpr const char* kName = "detkit_prroi_pool";

  static int forward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 0);
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_prroi_pool(&p.geometry, p.maps(), call.in(0), call.out(0), p.half,
                                    call.stream());
    }
#endif
    return detkit_prroi_pool(&p.geometry, p.features.data(), call.in(0), call.out(0));
  }
  static int backward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 1);
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_prroi_pool_backward(&p.geometry, p.maps(), call.in(1), call.in(0),
                                             p.grads(), call.out(0), p.half,
                                             backward_workspace(p, call), call.stream());
    }
#endif
    return detkit_prroi_pool_backward(&p.geometry, p.features.data(), call.in(1), call.in(0),
                                      p.gradients.data(), call.out(0));
  }
};

struct CropPool : RoIOperator {
  static constexpr const char* kName = "detkit_crop_pool";

  static int forward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 0);
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_crop_pool(&p.geometry, p.maps(), call.in(0), call.out(0), p.half,
                                   call.stream());
    }
#endif
    return detkit_crop_pool(&p.geometry, p.features.data(), call.in(0), call.out(0));
  }
  static int backward(const Arguments& args, const Call& call) {
    const Pyramid p(args, call, 1);
    call.zero(0);
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_crop_pool_backward(&p.geometry, p.maps(), call.in(1), call.in(0),
                                            p.grads(), p.half, backward_workspace(p, call),
                                            call.stream());
    }
#endif
    return detkit_crop_pool_backward(&p.geometry, p.features.data(), call.in(1), call.in(0),
                                     p.gradients.data());
  }
};

DETKIT_OPERATOR(detkit_roi_align, RoIAlign);
DETKIT_OPERATOR(detkit_roi_pool, RoIPool);
DETKIT_OPERATOR(detkit_prroi_pool, PrRoIPool);
DETKIT_OPERATOR(detkit_crop_pool, CropPool);

}  // namespace detkit
