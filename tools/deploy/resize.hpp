// Images at the size that a network was trained on, pixel for pixel as detkit resizes them in
// Python, whatever is installed here.
#pragma once

#include "detkit.hpp"

namespace detkit {

struct Size {
  int height, width;
};

// Whose way of resizing: OpenCV's INTER_LINEAR, torch's bilinear interpolation, Pillow's BILINEAR
// (Detectron2), OpenCV's INTER_CUBIC (GluonCV).
enum class Like { opencv, torchvision, detectron2, gluoncv };

struct Resize {
  int shorter, longer;  // the shorter side becomes the first, or the longer one the second if less
  Like like;
};

// What the resized image measures.
Size resized(const Resize& rule, Size size);

// The image at `size`, into the upper left of the planes R, G, B: (3, H, W) with H, W = canvas.
void resample(const Image& image, Like like, Size size, float* planes, Size canvas);

}  // namespace detkit
