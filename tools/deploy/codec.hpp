// The libraries that decode and encode images. codec_opencv.cpp, codec_jpeg_png.cpp or
// codec_ppm.cpp defines the function below, and picture_suffix() and write_picture() of
// image_file.hpp.
#pragma once

#include <string>

#include "image_file.hpp"

namespace detkit {

// Decodes the content of a file that check_header() accepts and that is no PPM. The image is turned
// upright by its EXIF orientation. Throws Error.
Picture decode_by_library(const std::string& path, const std::string& bytes);

// Writes a file. Throws Error.
void write_bytes(const std::string& path, const void* bytes, size_t size);

}  // namespace detkit
