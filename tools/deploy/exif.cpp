#include "exif.hpp"

#include <cstdint>

namespace detkit {
namespace {

constexpr size_t kEntry = 12;  // bytes of an entry in a directory of TIFF
constexpr uint32_t kOrientation = 0x112, kUpright = 1, kLast = 8;

// Numbers in a part of a file, 0 beyond its end.
struct Numbers {
  const std::string& bytes;
  size_t begin, end;
  bool little;

  uint32_t read(size_t at, size_t size) const {
    if (at > end - begin || end - begin - at < size) return 0;
    uint32_t number = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t place = begin + at + (little ? size - 1 - i : i);
      number = number << 8 | uint8_t(bytes[place]);
    }
    return number;
  }
};

// Returns the orientation in the first directory of a TIFF, kUpright if it has none.
int tiff_orientation(Numbers tiff) {
  tiff.little = tiff.bytes.compare(tiff.begin, 2, "II") == 0;
  const size_t directory = tiff.read(4, 4), count = tiff.read(directory, 2);
  for (size_t i = 0; i < count; ++i) {
    const size_t entry = directory + 2 + i * kEntry;
    if (tiff.read(entry, 2) != kOrientation) continue;
    const uint32_t found = tiff.read(entry + 8, 2);
    return int(found >= kUpright && found <= kLast ? found : kUpright);
  }
  return kUpright;
}

}  // namespace

int exif_orientation(const std::string& jpeg) {
  if (jpeg.compare(0, 2, "\xff\xd8") != 0) return kUpright;
  const std::string exif("Exif\0\0", 6);
  const Numbers file{jpeg, 0, jpeg.size(), false};
  // Each segment is FF, its kind, its length without these two, and its content.
  for (size_t at = 2; file.read(at, 1) == 0xff && file.read(at + 1, 1) != 0xda;) {
    const size_t length = file.read(at + 2, 2), next = at + 2 + length;
    if (length < 2 || next > jpeg.size()) break;
    if (file.read(at + 1, 1) == 0xe1 && jpeg.compare(at + 4, exif.size(), exif) == 0 &&
        length >= 2 + exif.size()) {
      return tiff_orientation({jpeg, at + 4 + exif.size(), next, false});
    }
    at = next;
  }
  return kUpright;
}

Picture upright(const Picture& picture, int orientation) {
  if (orientation == int(kUpright)) return picture;
  const bool swaps = orientation >= 5;
  const bool flips_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flips_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Picture out;
  out.height = swaps ? picture.width : picture.height;
  out.width = swaps ? picture.height : picture.width;
  out.rgb.reserve(picture.rgb.size());
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      const int column = swaps ? y : x, row = swaps ? x : y;  // of the stored picture
      const size_t from_x = size_t(flips_x ? picture.width - 1 - column : column);
      const size_t from_y = size_t(flips_y ? picture.height - 1 - row : row);
      const auto pixel =
          picture.rgb.begin() + std::ptrdiff_t(3 * (from_y * size_t(picture.width) + from_x));
      out.rgb.insert(out.rgb.end(), pixel, pixel + 3);
    }
  }
  return out;
}

}  // namespace detkit
