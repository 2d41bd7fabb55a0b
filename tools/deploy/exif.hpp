// The orientation that a camera writes into a JPEG.
#pragma once

#include <string>

#include "image_file.hpp"

namespace detkit {

// Returns the orientation of a JPEG, from 1 to 8 (EXIF 2.32, section 4.6.4); 1 if it has none.
int exif_orientation(const std::string& jpeg);

// Returns the picture as the camera saw it.
Picture upright(const Picture& picture, int orientation);

}  // namespace detkit
