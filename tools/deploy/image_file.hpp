// Image files -> RGB pixels, and back: PPM by itself, every other format where OpenCV is there.
#pragma once

#include <string>
#include <vector>

#include "detkit.hpp"

namespace detkit {

struct Picture {
  std::vector<uint8_t> rgb;
  int height = 0, width = 0;

  Image view() const { return {rgb.data(), height, width}; }
};

// Throws Error that names the file: missing, empty, truncated, or no image that can be read here.
Picture read_picture(const std::string& path);

// Throws Error where the file cannot be written.
void write_picture(const std::string& path, const Picture& picture);

// Of the files that write_picture writes here, with its dot.
const char* picture_suffix();

}  // namespace detkit
