#pragma once

#include "image_file.hpp"

namespace detkit {

// Draws boxes, and masks or skeletons into the picture, the best on top, and with OpenCV names and
// scores.
void draw(const std::vector<Detection>& detections, const std::vector<std::string>& classes,
          const Limbs& skeleton, Picture* picture);

// Returns the path of the drawn copy of each image in a folder. Throws Error if two copies would
// have one name.
std::vector<std::string> drawn_paths(const std::vector<std::string>& images,
                                     const std::string& folder);

}  // namespace detkit
