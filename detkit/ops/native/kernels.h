// The specification of detkit's operators, as plain functions: they take and fill pointers and know
// nothing of MXNet.
//
// Letters: B images, N boxes, G objects, R RoIs, C channels, H W, P cells per side, M the side of a
// mask. Boxes are x1 y1 x2 y2, continuous coordinates, without any +1. All arrays are dense and
// row-major; every function writes every element of its outputs.
//
// No content of an array makes a function crash or read beyond the array. What NaN, infinities,
// empty and inverted boxes give is said beside each function. It is the same on a CPU, on a GPU and
// in the fallback made of MXNet's own operators.
//
// Each function returns DETKIT_OK, DETKIT_OUT_OF_MEMORY or DETKIT_BAD_ARGUMENT. The last means a
// negative count, a top_k below -1, an unknown mode, a threshold that is negative or NaN, a sigma
// that is not above 0, or a size outside of the limits below; checks.h is the exact rule.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum { DETKIT_OK = 0, DETKIT_OUT_OF_MEMORY = 1, DETKIT_BAD_ARGUMENT = 2 };

// Returns the build of the kernels that this processor runs: 0 baseline, 1 AVX2, 2 AVX-512,
// 3 AVX-512 with products of bfloat16. The environment variable DETKIT_ISA (baseline, avx2, avx512,
// avx512_bf16) may ask for less.
int detkit_isa(void);

// -------------------------------------------------------------------------- constants

// detkit/constants.py has these numbers under the same names without the prefix.
#define DETKIT_PADDING (-1)                      // the label of a row without an object
#define DETKIT_CROWD (-2)                        // the label of a region to be ignored
#define DETKIT_MAX_LOG_SCALE 4.135166556742356f  // log(1000 / 16): dw and dh are clamped to it
#define DETKIT_MIN_PROPOSAL_SIDE 1e-3f           // pixels
#define DETKIT_MAX_ROI_COORDINATE 1e4f           // pixels from the image's corner
#define DETKIT_MIN_ROI_SIDE 1e-2f                // pixels
#define DETKIT_LEVEL_SLACK 1e-6f                 // added to the number of an RoI's level
#define DETKIT_MIN_UNION 1e-30f                  // square pixels; a smaller union may count as this

// The largest values that arguments may have.
#define DETKIT_MAX_LEVELS 8
#define DETKIT_MAX_ROI_SIZE 1024        // P
#define DETKIT_MAX_SCALE 1e3f           // of a map: pixels per pixel of the image
#define DETKIT_MAX_MASK_SIDE (1 << 24)  // float32 holds every whole number up to here
#define DETKIT_MAX_CHANNELS (1 << 16)   // of a convolution

// ------------------------------------------------------------------------------ boxes

enum { DETKIT_NMS_HARD = 0, DETKIT_NMS_LINEAR = 1, DETKIT_NMS_GAUSSIAN = 2 };

typedef struct {
  int images, boxes;        // B, N
  int top_k_in, top_k_out;  // how many of the best boxes enter, and at most leave; -1: all
  int mode;                 // DETKIT_NMS_*
  float iou;                // a box above it is dropped (hard) or decays (linear)
  float sigma;              // gaussian: score *= exp(-iou^2 / sigma)
  float min_score;          // linear, gaussian: a box is dropped below this score; NaN: never
} DetkitNms;

// Greedy non-maximum suppression, image by image, within one label, or over all boxes if labels is
// null; soft-NMS (Bodla et al. 2017) in the other two modes.
//
// Inputs: boxes (B, N, 4), scores (B, N), labels (B, N) or null. Outputs, M = min(N, top_k_out):
// boxes (B, M, 4), scores (B, M), labels (B, M), and index (B, M), the rows of the input that they
// come from. The best row is first; of equal scores, the lower index is first. Rows without a box
// hold zeros, score -1, label -1 and index -1. Without labels, the label of a kept box is 0.
// Soft-NMS returns the decayed scores (linear: score *= 1 - iou); a row leaves only while its
// score, decayed or not, is at least min_score.
//
// A row takes part if its score is finite and >= 0 and its coordinates are finite. Labels are
// compared by value, and NaN is a label like any other. An inverted box has no area. An IoU that is
// not a number (0 / 0, inf / inf) suppresses nothing.
int detkit_nms(const DetkitNms* nms, const float* boxes, const float* scores, const float* labels,
               float* out_boxes, float* out_scores, float* out_labels, int32_t* out_index);

typedef struct {
  int images, levels;     // B
  int pre_nms, post_nms;  // how many of a level's best anchors enter NMS, and of all boxes leave
  float iou;              // of NMS, which runs within a level
  float min_size;         // the shortest side of a proposal, at least DETKIT_MIN_PROPOSAL_SIDE
  float weights[4];       // the deltas dx dy dw dh are divided by these
} DetkitProposals;

typedef struct {
  int anchors;              // N, of this level
  const float* boxes;       // (N, 4)
  const float* objectness;  // (B, N) logits
  const float* deltas;      // (B, N, 4)
} DetkitLevel;

// Region proposals (Ren et al. 2015, section 3.3), in the order of torchvision and Detectron2. The
// best pre_nms anchors of each level by objectness (of equal ones, the lower index is the better)
// are decoded, with dw and dh clamped to DETKIT_MAX_LOG_SCALE, and clipped to the image. Boxes with
// a side below min_size are dropped, and NMS runs over the rest. The best post_nms boxes of all
// levels together are returned by score; equal ones come in the order of the levels, then of the
// objectness within a level.
//
// Inputs: sizes (B, 2) are h, w. A min_size below DETKIT_MIN_PROPOSAL_SIDE or NaN counts as that.
// Outputs, R = min(sum over levels of min(N, pre_nms), post_nms): boxes (B, R, 4) and scores (B,
// R), which are sigmoid(objectness). Rows without a proposal hold zeros and score -1. An anchor
// takes part if its objectness and its decoded box are finite. An image whose size is not a number
// has no proposals.
int detkit_proposals(const DetkitProposals* proposals, const DetkitLevel* levels,
                     const float* sizes, float* out_boxes, float* out_scores);

typedef struct {
  int images, boxes, objects;  // B, N, G
  int shared_boxes;            // 1: boxes are (1, N, 4), the same for every image
} DetkitMatch;

// Finds the object that each box overlaps most, without a matrix of N x G.
//
// Inputs: boxes (B or 1, N, 4); candidates (B, N), exactly 0 for boxes that take no part, or null;
// objects (B, G, 4); labels (B, G), which are >= 0 for an object, DETKIT_CROWD for a region to be
// ignored, and anything else, such as DETKIT_PADDING, for padding. Outputs:
//   index (B, N)     the object of largest IoU, the first of equal ones; 0 if none overlaps
//   iou (B, N)       that IoU; an IoU that is not a number counts as 0
//   is_best (B, N)   1 if no box that takes part has a larger IoU with some object, also for each
//   of
//                    several equal boxes; an IoU of 0 is nobody's best
//   ignored (B, N)   the largest share of the box's own area that lies in one region to be ignored:
//                    overlap / area, or 0 if that is not a number
//   best_index (B, G), best_iou (B, G)  the first box of largest IoU with each object; -1 and 0 if
//                    nothing overlaps the object, and for what is not an object
// A box that takes no part, or has a coordinate that is not finite, has 0 everywhere and is
// nobody's best; an object with such a coordinate counts as padding. Empty and inverted boxes have
// no area and overlap nothing.
int detkit_match(const DetkitMatch* match, const float* boxes, const float* candidates,
                 const float* objects, const float* labels, int32_t* index, float* iou,
                 float* is_best, float* ignored, int32_t* best_index, float* best_iou);

// ------------------------------------------------------------------------------- RoIs

// RoIs (R, 5) are image, x1 y1 x2 y2 in image pixels. They are cleaned first: a coordinate that is
// not finite becomes 0, all are clamped to +-DETKIT_MAX_ROI_COORDINATE, then x2 to at least
// x1 + DETKIT_MIN_ROI_SIDE, and y2 likewise. An image that is not one of 0..B-1, or not a whole
// number, gives a row of zeros and no gradient. P is 1..DETKIT_MAX_ROI_SIZE, a scale is above 0 and
// at most DETKIT_MAX_SCALE, and maps have at least one pixel.
typedef struct {
  int images, channels;           // B, C
  int rois, size;                 // R, P
  int levels;                     // the number of maps; with 1, all RoIs are pooled from it
  int height[DETKIT_MAX_LEVELS];  // H, W of each level
  int width[DETKIT_MAX_LEVELS];
  float scale[DETKIT_MAX_LEVELS];  // 1 / stride
  int first_level;                 // the number of the first map, for example 2 for P2
  int canonical_level;             // FPN (Lin et al. 2017), equation 1: k0, the level
  float canonical_size;            // of an RoI of this size, pixels (the paper: 4, 224)
  float level_margin;              // m, pixels added to each side for this (the paper: 0)
} DetkitRoIs;
// If there are several levels, an RoI is pooled from level
// floor(k0 + log2(sqrt(area) / canonical_size) + DETKIT_LEVEL_SLACK), clamped to the levels that
// exist (torchvision's formula). Its area is (w + m) (h + m), after it has been cleaned.

enum { DETKIT_AVERAGE = 0, DETKIT_MAX = 1 };

// All four kinds of pooling take features[level] (B, C, H, W) and rois (R, 5), and return out
// (R, C, P, P). The backward functions write grad_features[level] (B, C, H, W) and do not add to
// it; features may be null if the mode is DETKIT_AVERAGE. A maximum is taken over the numbers in a
// cell. It is NaN only if the cell holds nothing else (MXNet's ROIPooling returns the lowest
// float32 then), and the first NaN then gets the gradient. Otherwise, features that are not finite
// give unspecified values in the cells that they touch.

typedef struct {
  int sampling;  // samples per cell and axis; 0: ceil(side of the cell), at least 1
  int aligned;   // 1: shift by half a cell (Detectron2); 0: no shift, sides of at least 1 cell
  int mode;      // DETKIT_AVERAGE or DETKIT_MAX (the first of equal ones) of a cell's samples
} DetkitAlign;

// RoIAlign (He et al. 2017, section 3), with the samples of torchvision and MXNet: they are
// bilinear, 0 beyond one cell outside of the map, and clamped to its border within that.
int detkit_roi_align(const DetkitRoIs* geometry, const DetkitAlign* align,
                     const float* const* features, const float* rois, float* out);
int detkit_roi_align_backward(const DetkitRoIs* geometry, const DetkitAlign* align,
                              const float* const* features, const float* rois,
                              const float* grad_out, float* const* grad_features);

// RoIPool (Girshick 2015, section 2.1). Corners are rounded (half away from zero) to cells, and
// sides are at least one (x2 - x1 + 1). Each of the P x P cells reaches from floor to ceil of its
// edges and is cut to the map. The result is the maximum, whose gradient goes to the first of equal
// pixels in row-major order, or the average. An empty cell gives 0.
int detkit_roi_pool(const DetkitRoIs* geometry, int mode, const float* const* features,
                    const float* rois, float* out);
int detkit_roi_pool_backward(const DetkitRoIs* geometry, int mode, const float* const* features,
                             const float* rois, const float* grad_out, float* const* grad_features);

// Precise RoI Pooling (Jiang et al. 2018, equation 5): the exact mean of the bilinear surface over
// each cell. The surface is 0 from one cell outside of the map. grad_rois (R, 5) may be null; the
// features may then be null as well. Its first column is 0. It is the gradient of the coordinates
// after they have been cleaned, and 0 for a coordinate that cleaning has changed.
int detkit_prroi_pool(const DetkitRoIs* geometry, const float* const* features, const float* rois,
                      float* out);
int detkit_prroi_pool_backward(const DetkitRoIs* geometry, const float* const* features,
                               const float* rois, const float* grad_out,
                               float* const* grad_features, float* grad_rois);

// Crop pooling, as the PyTorch Faster R-CNNs pool: 2P x 2P bilinear samples from corner to corner
// of the RoI (sample k of an axis lies at x1 + (x2 - x1) * k / (2P - 1), in cells), then the
// maximum of each 2 x 2, whose gradient goes to the first of equal samples. The map continues with
// zeros outside of itself.
int detkit_crop_pool(const DetkitRoIs* geometry, const float* const* features, const float* rois,
                     float* out);
int detkit_crop_pool_backward(const DetkitRoIs* geometry, const float* const* features,
                              const float* rois, const float* grad_out,
                              float* const* grad_features);

// ------------------------------------------------------------------------------ masks

typedef struct {
  int images, objects, rois;  // B, G, R
  int height, width;          // of the masks
  int size;                   // M
} DetkitMaskTarget;

// The object's mask under each RoI, resized to M x M: the share of each cell that the mask covers,
// as RoIAlign (aligned, adaptive sampling, scale 1) of the mask.
//
// Inputs: masks (B, G, H, W), 0 or not 0, with sides of at most DETKIT_MAX_MASK_SIDE; rois (B, R,
// 4), cleaned as above; index (B, R), the object of each RoI. Output: (B, R, M, M), zeros if the
// index is not one of 0..G-1.
int detkit_mask_target(const DetkitMaskTarget* target, const uint8_t* masks, const float* rois,
                       const int32_t* index, float* out);

// Probabilities (N, M, M) of masks over their boxes (N, 4), pasted into images: out (N, H, W) is 0
// outside of the box. As in torchvision, box and mask grow by one cell on each side, the corners
// are truncated to whole pixels, and the mask is resized to (x2 - x1 + 1) x (y2 - y1 + 1) pixels,
// at least 1 x 1, bilinearly (pixel centres, clamped at the border). Boxes are cleaned as RoIs are:
// an empty or inverted one paints a pixel or two.
int detkit_mask_paste(int masks, int size, const float* probabilities, const float* boxes,
                      int height, int width, float* out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
