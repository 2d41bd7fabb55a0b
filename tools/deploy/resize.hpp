// Resizes images to the size that a network was trained on, with the pixels of detkit in Python and
// no other library.
#pragma once

#include "detkit.hpp"

namespace detkit {

struct Size {
  int height, width;
};

// The library whose pixels are matched: OpenCV's INTER_LINEAR, torch's bilinear interpolation,
// Pillow's BILINEAR (Detectron2), OpenCV's INTER_CUBIC (GluonCV).
enum class Like { opencv, torchvision, detectron2, gluoncv };

struct Resize {
  int shorter, longer;  // of the result: one of them is met, and neither is exceeded
  Like like;
};

// Returns the size of the resized image.
Size resized(const Resize& rule, Size size);

// Writes the image, resized to `size`, into the upper left of the planes R, G, B: (3, H, W) with
// H, W = canvas.
void resample(const Image& image, Like like, Size size, float* planes, Size canvas);

}  // namespace detkit
