// nms, proposals and match as MXNet's operators.
#include <algorithm>

#include "binding.h"

namespace detkit {

static unsigned at_most(unsigned count, int limit) {
  return limit < 0 ? count : std::min(count, static_cast<unsigned>(limit));
}

// boxes (B, N, 4), scores (B, N), with labelled=1 labels (B, N)
// -> boxes (B, M, 4), scores, labels (B, M), index (B, M) int32
struct Nms : Operator {
  static constexpr const char* kName = "detkit_nms";
  static constexpr int kOutputs = 4;
  static int inputs(const Arguments& args) { return args.integer("labelled") ? 3 : 2; }

  static void types(const Arguments& args, std::vector<int>& in, std::vector<int>& out) {
    Operator::types(args, in, out);
    out[3] = mxnet::ext::kInt32;
  }
  static Shapes shapes(const Arguments& args, const Shapes& in) {
    require(in[0].size() == 3 && in[0][2] == 4, "boxes are (B, N, 4)");
    const unsigned images = in[0][0], boxes = in[0][1];
    for (size_t i = 1; i < in.size(); i++) {
      require(in[i] == Shape({images, boxes}), "scores and labels are (B, N), as the boxes are");
    }
    const unsigned kept = at_most(boxes, args.integer("top_k_out"));
    return {{images, kept, 4}, {images, kept}, {images, kept}, {images, kept}};
  }
  static int forward(const Arguments& args, const Call& call) {
    DetkitNms nms = {};
    nms.images = call.dim(0, 0), nms.boxes = call.dim(0, 1);
    nms.top_k_in = args.integer("top_k_in"), nms.top_k_out = args.integer("top_k_out");
    nms.mode = args.integer("mode"), nms.iou = args.real("iou");
    nms.sigma = args.real("sigma"), nms.min_score = args.real("min_score");
    const float* labels = args.integer("labelled") ? call.in(2) : nullptr;
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_nms(&nms, call.in(0), call.in(1), labels, call.out(0), call.out(1),
                             call.out(2), call.out<int32_t>(3),
                             call.workspace(detkit_cuda_nms_workspace(&nms)), call.stream());
    }
#endif
    return detkit_nms(&nms, call.in(0), call.in(1), labels, call.out(0), call.out(1), call.out(2),
                      call.out<int32_t>(3));
  }
};

// sizes (B, 2), then for each of levels: anchors (1, N, 4), objectness (B, N), deltas (B, N, 4)
// -> boxes (B, R, 4), scores (B, R)
struct Proposals : Operator {
  static constexpr const char* kName = "detkit_proposals";
  static constexpr int kOutputs = 2;
  static int inputs(const Arguments& args) { return 1 + 3 * args.integer("levels"); }

  static Shapes shapes(const Arguments& args, const Shapes& in) {
    require(in[0].size() == 2 && in[0][1] == 2, "sizes are (B, 2)");
    const unsigned images = in[0][0];
    unsigned candidates = 0;
    for (size_t level = 0; 3 * level + 1 < in.size(); level++) {
      const Shape& anchors = in[3 * level + 1];
      require(anchors.size() == 3 && anchors[0] == 1 && anchors[2] == 4, "anchors are (1, N, 4)");
      require(in[3 * level + 2] == Shape({images, anchors[1]}), "objectness is (B, N)");
      require(in[3 * level + 3] == Shape({images, anchors[1], 4}), "deltas are (B, N, 4)");
      candidates += at_most(anchors[1], args.integer("pre_nms"));
    }
    const unsigned rois = at_most(candidates, args.integer("post_nms"));
    return {{images, rois, 4}, {images, rois}};
  }
  static int forward(const Arguments& args, const Call& call) {
    DetkitProposals proposals = {};
    proposals.images = call.dim(0, 0), proposals.levels = args.integer("levels");
    proposals.pre_nms = args.integer("pre_nms"), proposals.post_nms = args.integer("post_nms");
    proposals.iou = args.real("iou"), proposals.min_size = args.real("min_size");
    const std::vector<float> weights = args.reals("weights");
    require(weights.size() == 4, "weights are four numbers");
    std::copy(weights.begin(), weights.end(), proposals.weights);
    std::vector<DetkitLevel> levels(static_cast<size_t>(proposals.levels));
    for (size_t i = 0; i < levels.size(); i++) {
      const size_t first = 1 + 3 * i;
      levels[i] = {call.dim(first, 1), call.in(first), call.in(first + 1), call.in(first + 2)};
    }
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      void* workspace = call.workspace(detkit_cuda_proposals_workspace(&proposals, levels.data()));
      return detkit_cuda_proposals(&proposals, levels.data(), call.in(0), call.out(0), call.out(1),
                                   workspace, call.stream());
    }
#endif
    return detkit_proposals(&proposals, levels.data(), call.in(0), call.out(0), call.out(1));
  }
};

// boxes (B or 1, N, 4), objects (B, G, 4), labels (B, G), with selective=1 candidates (B, N)
// -> index int32, iou, is_best, ignored (B, N), best_index int32, best_iou (B, G)
struct Match : Operator {
  static constexpr const char* kName = "detkit_match";
  static constexpr int kOutputs = 6;
  static int inputs(const Arguments& args) { return args.integer("selective") ? 4 : 3; }

  static void types(const Arguments& args, std::vector<int>& in, std::vector<int>& out) {
    Operator::types(args, in, out);
    out[0] = out[4] = mxnet::ext::kInt32;
  }
  static Shapes shapes(const Arguments&, const Shapes& in) {
    require(in[0].size() == 3 && in[0][2] == 4, "boxes are (B or 1, N, 4)");
    require(in[1].size() == 3 && in[1][2] == 4, "objects are (B, G, 4)");
    const unsigned images = in[1][0], boxes = in[0][1], objects = in[1][1];
    require(in[0][0] == 1 || in[0][0] == images, "boxes are of as many images as the objects");
    require(in[2] == Shape({images, objects}), "labels are (B, G), as the objects are");
    require(in.size() == 3 || in[3] == Shape({images, boxes}), "candidates are (B, N)");
    const Shape per_box = {images, boxes}, per_object = {images, objects};
    return {per_box, per_box, per_box, per_box, per_object, per_object};
  }
  static int forward(const Arguments& args, const Call& call) {
    DetkitMatch match = {};
    match.images = call.dim(1, 0), match.boxes = call.dim(0, 1), match.objects = call.dim(1, 1);
    match.shared_boxes = call.dim(0, 0) == 1;
    const float* candidates = args.integer("selective") ? call.in(3) : nullptr;
#ifdef DETKIT_CUDA
    if (call.on_gpu()) {
      return detkit_cuda_match(&match, call.in(0), candidates, call.in(1), call.in(2),
                               call.out<int32_t>(0), call.out(1), call.out(2), call.out(3),
                               call.out<int32_t>(4), call.out(5),
                               call.workspace(detkit_cuda_match_workspace(&match)), call.stream());
    }
#endif
    return detkit_match(&match, call.in(0), candidates, call.in(1), call.in(2),
                        call.out<int32_t>(0), call.out(1), call.out(2), call.out(3),
                        call.out<int32_t>(4), call.out(5));
  }
};

DETKIT_OPERATOR(detkit_nms, Nms);
DETKIT_OPERATOR(detkit_proposals, Proposals);
DETKIT_OPERATOR(detkit_match, Match);

}  // namespace detkit
