// JPEG and PNG without OpenCV, by stb_image (https://github.com/nothings/stb).
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#include "image_stb.hpp"

#include <stb_image.h>

#include <algorithm>
#include <climits>
#include <memory>

#include "exif.hpp"

namespace detkit {
namespace {

// A larger image than its bytes can describe would take memory and time for nothing: a byte of a
// JPEG stands for a few blocks of 64 pixels, and one of a PNG for 1032 bytes of 8 pixels.
constexpr size_t kPixelsPerByteOfJpeg = 1 << 11, kPixelsPerByteOfPng = 1 << 14;
constexpr size_t kMostPixels = 1 << 28;

}  // namespace

Picture decode_stb(const std::string& path, const std::string& bytes) {
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = int(std::min(bytes.size(), size_t(INT_MAX)));
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(data, size, &width, &height, &channels)) {
    throw Error(path + ": expected a PPM, JPEG or PNG, found bytes that are none (" +
                stbi_failure_reason() + "); build the program with OpenCV for other formats");
  }
  const bool is_png = bytes.compare(1, 3, "PNG") == 0;
  const size_t most =
      std::min(bytes.size() * (is_png ? kPixelsPerByteOfPng : kPixelsPerByteOfJpeg), kMostPixels);
  if (size_t(width) * size_t(height) > most) {
    throw Error(path + ": expected at most " + std::to_string(most) + " pixels in a file of " +
                std::to_string(bytes.size()) + " bytes, found " + std::to_string(height) + " x " +
                std::to_string(width));
  }
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(data, size, &width, &height, &channels, 3), stbi_image_free);
  if (!pixels) {
    throw Error(path + ": expected a whole JPEG or PNG, found a damaged one (" +
                stbi_failure_reason() + ")");
  }
  const Picture picture{
      {pixels.get(), pixels.get() + 3 * size_t(width) * size_t(height)}, height, width};
  return upright(picture, exif_orientation(bytes));
}

}  // namespace detkit
