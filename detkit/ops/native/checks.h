// Which arguments the operators of kernels.h and kernels_conv.h accept. The functions for a CPU and
// those for a GPU both ask here, so that they refuse the same calls.
//
// All functions are static: kernels for a CPU are compiled once for each instruction set, and a
// linker must not replace a function of one build by that of another (cpu/isa.h).
#pragma once

#include <limits.h>
#include <stdint.h>

#include "kernels_conv.h"

namespace detkit {

static inline bool is_valid(const DetkitNms& nms) {
  if (nms.images < 0 || nms.boxes < 0 || nms.top_k_in < -1 || nms.top_k_out < -1) return false;
  if (nms.mode == DETKIT_NMS_GAUSSIAN) return nms.sigma > 0.0f;
  return (nms.mode == DETKIT_NMS_HARD || nms.mode == DETKIT_NMS_LINEAR) && nms.iou >= 0.0f;
}

static inline bool is_valid(const DetkitProposals& proposals, const DetkitLevel* levels) {
  if (proposals.images < 0 || proposals.levels < 0 || !(proposals.iou >= 0.0f)) return false;
  if (proposals.pre_nms < 0 || proposals.post_nms < 0) return false;
  for (int i = 0; i < proposals.levels; ++i) {
    if (levels[i].anchors < 0) return false;
  }
  return true;
}

static inline bool is_valid(const DetkitMatch& match) {
  return match.images >= 0 && match.boxes >= 0 && match.objects >= 0;
}

static inline bool is_valid(const DetkitRoIs& geometry) {
  if (geometry.images < 0 || geometry.channels < 0 || geometry.rois < 0) return false;
  if (geometry.size < 1 || geometry.size > DETKIT_MAX_ROI_SIZE) return false;
  if (geometry.levels < 1 || geometry.levels > DETKIT_MAX_LEVELS) return false;
  for (int level = 0; level < geometry.levels; ++level) {
    const int64_t height = geometry.height[level], width = geometry.width[level];
    const float scale = geometry.scale[level];
    if (height < 1 || width < 1 || height * (width + 1) > INT_MAX) return false;
    if (!(scale > 0.0f && scale <= DETKIT_MAX_SCALE)) return false;
  }
  return geometry.levels == 1 || (geometry.canonical_size > 0.0f && geometry.level_margin >= 0.0f);
}

// Of RoIPool.
static inline bool is_valid(const DetkitRoIs& geometry, int mode) {
  return is_valid(geometry) && (mode == DETKIT_AVERAGE || mode == DETKIT_MAX);
}

// Of RoIAlign.
static inline bool is_valid(const DetkitRoIs& geometry, const DetkitAlign& align) {
  return is_valid(geometry, align.mode) && align.sampling >= 0;
}

// The height or width of a mask or an image, or M.
static inline bool is_mask_side(int side) { return side >= 0 && side <= DETKIT_MAX_MASK_SIDE; }

static inline bool is_valid(const DetkitMaskTarget& target) {
  if (target.images < 0 || target.objects < 0 || target.rois < 0 || target.size < 1) return false;
  return is_mask_side(target.size) && is_mask_side(target.height) && is_mask_side(target.width);
}

static inline bool is_valid_paste(int masks, int size, int height, int width) {
  if (masks < 0 || size < 1) return false;
  return is_mask_side(size) && is_mask_side(height) && is_mask_side(width);
}

static inline bool is_valid(const DetkitConv3x3& conv) {
  const int64_t height = conv.height, width = conv.width;
  if (conv.images < 0 || height < 1 || width < 1 || height * (width + 8) > INT_MAX) return false;
  if (conv.in_channels < 1 || conv.in_channels > DETKIT_MAX_CHANNELS) return false;
  if (conv.out_channels < 1 || conv.out_channels > DETKIT_MAX_CHANNELS) return false;
  return (!conv.pools || (height > 1 && width > 1)) && (!conv.relu || conv.most > 0.0f);
}

static inline bool is_valid(const DetkitConv1x1& conv) {
  const int64_t height = conv.height, width = conv.width;
  if (conv.images < 0 || height < 1 || width < 1 || height * (width + 8) > INT_MAX) return false;
  if (conv.in_channels < 1 || conv.in_channels > DETKIT_MAX_CHANNELS) return false;
  if (conv.out_channels < 1 || conv.out_channels > DETKIT_MAX_CHANNELS) return false;
  return (conv.stride == 1 || conv.stride == 2) && (!conv.relu || conv.most > 0.0f);
}

static inline bool is_valid(const DetkitDepthwise& conv) {
  const int64_t height = conv.height, width = conv.width;
  if (conv.images < 0 || height < 1 || width < 1) return false;
  if ((height + 2) * (width + 64) > INT_MAX) return false;
  if (conv.channels < 1 || conv.channels > DETKIT_MAX_CHANNELS) return false;
  return (conv.stride == 1 || conv.stride == 2) && (!conv.relu || conv.most > 0.0f);
}

static inline bool is_valid_rectify(int64_t count, float most) { return count >= 0 && most > 0.0f; }

static inline bool is_valid_pool(int64_t planes, int height, int width) {
  return planes >= 0 && height >= 0 && width >= 0;
}

static inline bool is_valid_upsample(int64_t planes, int64_t height, int64_t width, int64_t rows,
                                     int64_t columns) {
  if (planes < 0 || height < 1 || width < 1 || 4 * height * (width + 32) > INT_MAX) return false;
  return rows >= 1 && columns >= 1 && rows <= 2 * height && columns <= 2 * width;
}

}  // namespace detkit
