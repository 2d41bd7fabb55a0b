// mask_target and mask_paste as MXNet's operators.
#include "binding.h"

namespace detkit {

// masks (B, G, H, W) uint8, rois (B, R, 4), index (B, R) int32 -> (B, R, M, M)
struct MaskTarget : Operator {
  static constexpr const char* kName = "detkit_mask_target";
  static constexpr int kOutputs = 1;
  static int inputs(const Arguments&) { return 3; }

  static void types(const Arguments&, std::vector<int>& in, std::vector<int>& out) {
    settle_type(in, 0, mxnet::ext::kUint8);
    settle_type(in, 1, mxnet::ext::kFloat32);
    settle_type(in, 2, mxnet::ext::kInt32);
    out[0] = mxnet::ext::kFloat32;
  }
  static Shapes shapes(const Arguments& args, const Shapes& in) {
    require(in[0].size() == 4, "masks are (B, G, H, W)");
    require(in[1].size() == 3 && in[1][0] == in[0][0] && in[1][2] == 4, "rois are (B, R, 4)");
    require(in[2] == Shape({in[1][0], in[1][1]}), "index is (B, R), as the rois are");
    const unsigned size = static_cast<unsigned>(args.integer("size"));
    return {{in[1][0], in[1][1], size, size}};
  }
  static int forward(const Arguments& args, const Call& call) {
    DetkitMaskTarget target = {};
    target.images = call.dim(0, 0), target.objects = call.dim(0, 1), target.rois = call.dim(1, 1);
    target.height = call.dim(0, 2), target.width = call.dim(0, 3);
    target.size = args.integer("size");
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_mask_target(&target, call.in<uint8_t>(0), call.in(1), call.in<int32_t>(2),
                                     call.out(0), call.stream());
    }
#endif
    return detkit_mask_target(&target, call.in<uint8_t>(0), call.in(1), call.in<int32_t>(2),
                              call.out(0));
  }
};

// probabilities (N, M, M), boxes (N, 4) -> (N, height, width)
struct MaskPaste : Operator {
  static constexpr const char* kName = "detkit_mask_paste";
  static constexpr int kOutputs = 1;
  static int inputs(const Arguments&) { return 2; }

  static Shapes shapes(const Arguments& args, const Shapes& in) {
    require(in[0].size() == 3 && in[0][1] == in[0][2], "probabilities are (N, M, M)");
    require(in[1] == Shape({in[0][0], 4}), "boxes are (N, 4), as many as the probabilities");
    return {{in[0][0], static_cast<unsigned>(args.integer("height")),
             static_cast<unsigned>(args.integer("width"))}};
  }
  static int forward(const Arguments& args, const Call& call) {
    const int height = args.integer("height"), width = args.integer("width");
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_mask_paste(call.dim(0, 0), call.dim(0, 1), call.in(0), call.in(1), height,
                                    width, call.out(0), call.stream());
    }
#endif
    return detkit_mask_paste(call.dim(0, 0), call.dim(0, 1), call.in(0), call.in(1), height, width,
                             call.out(0));
  }
};

DETKIT_OPERATOR(detkit_mask_target, MaskTarget);
DETKIT_OPERATOR(detkit_mask_paste, MaskPaste);

}  // namespace detkit
