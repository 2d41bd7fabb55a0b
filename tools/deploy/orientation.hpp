// The EXIF orientation of an image, and the turn that it asks for.
#pragma once

#include <string>

#include "image_file.hpp"

namespace detkit {

// Returns the orientation that EXIF states, from 1 (as stored) to 8; 1 if it states none or another
// number. EXIF is a TIFF file (EXIF 2.3, 4.6.4); any bytes are accepted.
int orientation_of(const std::string& exif);

// Returns the picture as it is seen: mirrored, turned, or both.
Picture upright(Picture picture, int orientation);

}  // namespace detkit
