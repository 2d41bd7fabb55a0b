// JPEG by libjpeg and PNG by libpng, with the pixels that OpenCV decodes as colours.
#pragma once

#include <string>

#include "image_file.hpp"

namespace detkit {

struct Decoded {
  Picture picture;   // as it is stored
  std::string exif;  // as a TIFF file; empty if there is none
};

// Decode the content of a file that check_header() accepts. They throw Error with the path if the
// library cannot decode it.
Decoded read_jpeg(const std::string& path, const std::string& bytes);
Decoded read_png(const std::string& path, const std::string& bytes);

// Writes an image. Throws Error if the file cannot be written.
void write_png(const std::string& path, const Picture& picture);

}  // namespace detkit
