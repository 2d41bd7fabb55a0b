// Formats, sizes and ends of image files, read before anything is decoded.
#pragma once

#include <string>

namespace detkit {

constexpr size_t kMostPixels = 100000000;  // of an image: 0.3 GB when decoded

enum class Format { ppm, jpeg, png, other };

// Returns the format of a file that begins with these bytes.
Format format_of(const std::string& bytes);

// Throws Error for a JPEG or a PNG that is truncated or that states more than `most_pixels` pixels,
// and for a JPEG of more than 100 scans. `path` is for messages. The rules are those of
// detkit/data/images.py.
void check_header(const std::string& path, const std::string& bytes, size_t most_pixels);

}  // namespace detkit
