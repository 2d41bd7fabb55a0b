#pragma once

#include <string>

#include "image_file.hpp"

namespace detkit {

// Decodes a JPEG or PNG and turns it upright by the EXIF orientation of a JPEG. `path` is for
// messages. Throws Error.
Picture decode_stb(const std::string& path, const std::string& bytes);

}  // namespace detkit
