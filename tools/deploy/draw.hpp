#pragma once

#include "image_file.hpp"

namespace detkit {

// Draws boxes, and masks or skeletons into the picture, the best on top, and with OpenCV names and
// scores.
void draw(const std::vector<Detection>& detections, const std::vector<std::string>& classes,
          const Limbs& skeleton, Picture* picture);

}  // namespace detkit
