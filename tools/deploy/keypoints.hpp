// The keypoints in the heatmaps of a detection.
#pragma once

#include <cstddef>
#include <vector>

#include "detkit.hpp"
#include "resize.hpp"

namespace detkit {

// Returns the keypoints of a box (x1 y1 x2 y2) in pixels of the network's input, as
// detkit/keypoints.py does: a heatmap is resized to the pixels of the box by OpenCV's bicubic
// interpolation, and its keypoint is the pixel with the largest logit.
//
// heatmaps: (count, side, side) logits. size: of the image, which limits the sides of a box.
std::vector<Keypoint> decode_keypoints(const float* heatmaps, size_t count, size_t side,
                                       const float* box, Size size);

}  // namespace detkit
