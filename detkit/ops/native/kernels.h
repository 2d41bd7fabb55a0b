// detkit's operators as plain functions: pointers in, pointers out, nothing of MXNet in them.
//
// Letters: B images, N boxes, G objects, R RoIs, C channels, H W, P cells per side, M the side of a
// mask. Boxes are x1 y1 x2 y2, continuous coordinates, without any +1. All arrays are dense and
// row-major; every function writes every element of its outputs.
//
// Nothing that stands in an array makes a function crash or read beyond one. What NaN, infinities,
// empty and inverted boxes give is said beside each function, and is the same on a CPU, on a GPU
// and in the fallback made of MXNet's own operators.
//
// Each function returns DETKIT_OK, DETKIT_OUT_OF_MEMORY, or DETKIT_BAD_ARGUMENT: a negative count,
// a top_k below -1, an unknown mode, a threshold that is negative or NaN, a sigma not above 0, and
// what is said of sizes below.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum { DETKIT_OK = 0, DETKIT_OUT_OF_MEMORY = 1, DETKIT_BAD_ARGUMENT = 2 };

// Which of the three builds of the kernels this processor runs: 0 baseline, 1 AVX2, 2 AVX-512.
// The environment variable DETKIT_ISA (baseline, avx2, avx512) may ask for less.
int detkit_isa(void);

// -------------------------------------------------------------------------- constants

// detkit/constants.py has these numbers under the same names, without the prefix.
#define DETKIT_PADDING (-1)                      // the label of a row without an object
#define DETKIT_CROWD (-2)                        // the label of a region to be ignored
#define DETKIT_MAX_LOG_SCALE 4.135166556742356f  // log(1000 / 16), the clamp of dw and dh
#define DETKIT_MIN_PROPOSAL_SIDE 1e-3f           // pixels
#define DETKIT_MAX_ROI_COORDINATE 1e4f           // pixels from the image's corner
#define DETKIT_MIN_ROI_SIDE 1e-2f                // pixels
#define DETKIT_LEVEL_SLACK 1e-6f                 // added to the number of an RoI's level
#define DETKIT_MIN_UNION 1e-30f                  // square pixels; a smaller union may count as this

// The largest values of arguments.
#define DETKIT_MAX_LEVELS 8
#define DETKIT_MAX_ROI_SIZE 1024        // P
#define DETKIT_MAX_SCALE 1e3f           // of a map: pixels per pixel of the image
#define DETKIT_MAX_MASK_SIDE (1 << 24)  // float32 holds every whole number up to here

// ------------------------------------------------------------------------------ boxes

enum { DETKIT_NMS_HARD = 0, DETKIT_NMS_LINEAR = 1, DETKIT_NMS_GAUSSIAN = 2 };

typedef struct {
  int images, boxes;        // B, N
  int top_k_in, top_k_out;  // the best so many enter, at most so many leave; -1: all
  int mode;                 // DETKIT_NMS_*
  float iou;                // hard: dropped above it. linear: decayed above it
  float sigma;              // gaussian: score *= exp(-iou^2 / sigma)
  float min_score;          // linear and gaussian: dropped when the score is below it; NaN: never
} DetkitNms;

// Greedy non-maximum suppression, image by image, within one label or over all boxes where labels
// is null; soft-NMS (Bodla et al. 2017) in the other two modes.
//
// boxes (B, N, 4), scores (B, N), labels (B, N) or null. Out, M = min(N, top_k_out): boxes
// (B, M, 4), scores (B, M), labels (B, M), index (B, M), the rows of the input they come from, best
// first; of equal scores the lower index first. Rows without a box: zeros, score -1, label -1,
// index -1. Without labels, the label of a kept box is 0. Soft-NMS returns the decayed scores
// (linear: score *= 1 - iou); a row leaves only while its score, decayed or not, is at least
// min_score.
//
// A row takes part if its score is finite and >= 0 and its coordinates are finite. Labels are told
// apart by value; NaN is a label like any other. An inverted box has no area. An IoU that is not a
// number (0 / 0, inf / inf) suppresses nothing.
int detkit_nms(const DetkitNms* nms, const float* boxes, const float* scores, const float* labels,
               float* out_boxes, float* out_scores, float* out_labels, int32_t* out_index);

typedef struct {
  int images, levels;     // B
  int pre_nms, post_nms;  // best anchors of a level that enter NMS; best boxes of all that leave
  float iou;              // NMS within a level
  float min_size;         // shortest side of a proposal, pixels; below 1e-3 and NaN count as 1e-3
  float weights[4];       // divide dx dy dw dh
} DetkitProposals;

typedef struct {
  int anchors;              // N of this level
  const float* boxes;       // (N, 4)
  const float* objectness;  // (B, N) logits
  const float* deltas;      // (B, N, 4)
} DetkitLevel;

// Region proposals (Ren et al. 2015, section 3.3; the order of torchvision and Detectron2): of each
// level the best pre_nms by objectness (equal ones: lower index first), decoded (dw, dh clamped at
// log(1000 / 16)), clipped to the image, without those with a side below min_size, through NMS; of
// all levels together the best post_nms by score, equal ones in the order of levels, then of the
// objectness within a level.
//
// sizes (B, 2) are h, w. Out, R = min(sum over levels of min(N, pre_nms), post_nms): boxes
// (B, R, 4), scores (B, R) = sigmoid(objectness). Rows without a proposal: zeros, score -1. An
// anchor whose objectness is not finite takes no part, nor one whose decoded box is not; an image
// whose size is not a number has no proposals.
int detkit_proposals(const DetkitProposals* proposals, const DetkitLevel* levels,
                     const float* sizes, float* out_boxes, float* out_scores);

typedef struct {
  int images, boxes, objects;  // B, N, G
  int shared_boxes;            // 1: boxes are (1, N, 4), the same for every image
} DetkitMatch;

// Which object each box overlaps most, without a matrix of N x G.
//
// boxes (B or 1, N, 4); candidates (B, N), exactly 0 for boxes that take no part, or null; objects
// (B, G, 4); labels (B, G): >= 0 an object, -2 a region to be ignored (a crowd), anything else
// padding. Out:
//   index (B, N)     the object of largest IoU, the first of equals; 0 where none overlaps
//   iou (B, N)       that IoU; one that is not a number counts as 0
//   is_best (B, N)   1 where no box that takes part has a larger IoU with some object (all of
//                    several equals; an IoU of 0 is nobody's best)
//   ignored (B, N)   the largest share of the box's own area that lies in one region to be
//                    ignored: overlap / area, 0 where that is not a number
//   best_index (B, G), best_iou (B, G)  the first box of largest IoU with each object; -1 and 0
//                    where nothing overlaps it, and for what is no object
// A box that takes no part, and one with a coordinate that is not finite, has 0 everywhere and is
// nobody's best; an object with such a coordinate counts as padding. Empty and inverted boxes have
// no area and overlap nothing.
int detkit_match(const DetkitMatch* match, const float* boxes, const float* candidates,
                 const float* objects, const float* labels, int32_t* index, float* iou,
                 float* is_best, float* ignored, int32_t* best_index, float* best_iou);

// ------------------------------------------------------------------------------- RoIs

// RoIs (R, 5) are image, x1 y1 x2 y2 in image pixels. Coordinates that are not finite are taken
// for 0, all are clamped to -1e4..1e4, then x2 to at least x1 + 1e-2, y2 likewise. An image that is
// not one of 0..B-1, or not whole, gives a row of zeros and no gradient. P is 1..1024, a scale
// above 0 and at most 1000; maps have at least one pixel.
typedef struct {
  int images, channels;           // B, C
  int rois, size;                 // R, P
  int levels;                     // 1: every RoI is pooled from the one map
  int height[DETKIT_MAX_LEVELS];  // H, W of each level
  int width[DETKIT_MAX_LEVELS];
  float scale[DETKIT_MAX_LEVELS];  // 1 / stride
  int first_level;                 // the number of the first, as 2 for P2
  int canonical_level;             // FPN (Lin et al. 2017), equation 1: k0 ...
  float canonical_size;            // ... for an RoI of this size, pixels (the paper: 4, 224)
  float level_margin;              // m, pixels that sides are longer for this (the paper: 0)
} DetkitRoIs;
// Of several levels an RoI is pooled from floor(k0 + log2(sqrt(area) / canonical_size) + 1e-6),
// clamped to those there are (torchvision's formula), area (w + m) (h + m) after the clamping
// above.

enum { DETKIT_AVERAGE = 0, DETKIT_MAX = 1 };

// In all four: features[level] (B, C, H, W); rois (R, 5); out (R, C, P, P). The backward functions
// write grad_features[level] (B, C, H, W), they do not add to it; features may be null where the
// mode is DETKIT_AVERAGE. A maximum is that of the numbers in a cell: NaN only where it holds
// nothing else (MXNet's ROIPooling gives the lowest float32 there), and then the first gets the
// gradient. Otherwise features that are not finite give unspecified values in the cells they touch.

typedef struct {
  int sampling;  // samples per cell and axis; 0: ceil(side of the cell), at least 1
  int aligned;   // 1: shift by half a cell (Detectron2); 0: none, and sides of at least 1 cell
  int mode;      // of the samples of a cell: DETKIT_AVERAGE, DETKIT_MAX (the first of equals)
} DetkitAlign;

// RoIAlign (He et al. 2017, section 3), as torchvision and MXNet sample: bilinear, 0 beyond one
// cell outside of the map, clamped to its border within.
int detkit_roi_align(const DetkitRoIs* geometry, const DetkitAlign* align,
                     const float* const* features, const float* rois, float* out);
int detkit_roi_align_backward(const DetkitRoIs* geometry, const DetkitAlign* align,
                              const float* const* features, const float* rois,
                              const float* grad_out, float* const* grad_features);

// RoIPool (Girshick 2015, section 2.1): corners rounded (half away from zero) to cells, sides of at
// least one (x2 - x1 + 1), each of P x P cells from floor to ceil, cut to the map; the maximum (the
// first of equals in row-major order gets the gradient) or the average. An empty cell gives 0.
int detkit_roi_pool(const DetkitRoIs* geometry, int mode, const float* const* features,
                    const float* rois, float* out);
int detkit_roi_pool_backward(const DetkitRoIs* geometry, int mode, const float* const* features,
                             const float* rois, const float* grad_out, float* const* grad_features);

// Precise RoI Pooling (Jiang et al. 2018, equation 5): the mean of the bilinear surface over each
// cell, exactly; the surface is 0 from one cell outside of the map. grad_rois (R, 5) may be null,
// and with it the features; its first column is 0, and it is the gradient to the coordinates after
// the clamping above, 0 for a coordinate that was clamped.
int detkit_prroi_pool(const DetkitRoIs* geometry, const float* const* features, const float* rois,
                      float* out);
int detkit_prroi_pool_backward(const DetkitRoIs* geometry, const float* const* features,
                               const float* rois, const float* grad_out,
                               float* const* grad_features, float* grad_rois);

// Crop pooling, as the PyTorch Faster R-CNNs pool: 2P x 2P bilinear samples from corner to corner
// of the RoI (sample k of an axis at x1 + (x2 - x1) * k / (2P - 1), in cells), the map going on
// with zeros outside, then the maximum of each 2 x 2 (the first of equals gets the gradient).
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

// The object's mask under each RoI, resized to M x M: the share of each cell that it covers, as
// RoIAlign (aligned, adaptive sampling, scale 1) of the mask.
//
// masks (B, G, H, W), 0 or not 0, sides of at most 2^24; rois (B, R, 4), cleaned as above; index
// (B, R), the object of each RoI. Out (B, R, M, M); zeros where the index is not one of 0..G-1.
int detkit_mask_target(const DetkitMaskTarget* target, const uint8_t* masks, const float* rois,
                       const int32_t* index, float* out);

// Probabilities (N, M, M) of masks over their boxes (N, 4), pasted into images: out (N, H, W), 0
// outside of the box. As torchvision pastes: box and mask grow by one cell on each side, the
// corners are cut to whole pixels, the mask is resized to (x2 - x1 + 1) x (y2 - y1 + 1), at least
// 1 x 1, bilinearly (pixel centres, clamped at the border). Boxes are cleaned as RoIs are: an empty
// or inverted one paints a pixel or two.
int detkit_mask_paste(int masks, int size, const float* probabilities, const float* boxes,
                      int height, int width, float* out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
