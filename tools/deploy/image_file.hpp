// Image files to RGB pixels and back. codec.hpp has the libraries that do it.
#pragma once

#include <string>
#include <vector>

#include "detkit.hpp"
#include "image_headers.hpp"

namespace detkit {

struct Picture {
  std::vector<uint8_t> rgb;
  int height = 0, width = 0;

  Image view() const { return {rgb.data(), height, width}; }
};

// Reads an image. Throws Error if the file is missing, empty, truncated or of an unknown format.
Picture read_picture(const std::string& path);

// Does the same with the content of a file. `path` is for messages. A JPEG or a PNG has at most
// `most_pixels` pixels.
Picture decode_picture(const std::string& path, const std::string& bytes,
                       size_t most_pixels = kMostPixels);

// Writes an image. Throws Error if the file cannot be written.
void write_picture(const std::string& path, const Picture& picture);

// Returns the suffix of the files of write_picture, with its dot.
const char* picture_suffix();

// Returns the path of the drawn copy of each image in a folder. Throws Error if two copies would
// have one name.
std::vector<std::string> drawn_paths(const std::vector<std::string>& images,
                                     const std::string& folder);

}  // namespace detkit
