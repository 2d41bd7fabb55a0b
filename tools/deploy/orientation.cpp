#include "orientation.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace detkit {
namespace {

constexpr uint64_t kTag = 0x0112, kTiffMark = 42, kEntry = 12;  // an entry has 12 bytes
constexpr uint64_t kFirstText = 0x010e, kLastText = 0x0110;     // description, maker and model
constexpr uint64_t kMostInEntry = 4;                            // bytes; longer texts lie elsewhere

// The content of a TIFF file.
class Tiff {
 public:
  explicit Tiff(const std::string& bytes)
      : bytes_(bytes), little_(bytes.compare(0, 2, "II") == 0) {}

  bool contains(uint64_t at, uint64_t count) const { return at + count <= bytes_.size(); }

  // Returns the number of `count` bytes at a place, 0 after the end.
  uint64_t number(uint64_t at, size_t count) const {
    uint64_t value = 0;
    for (size_t i = 0; i < count && contains(at, count); ++i) {
      value = value << 8 | uint8_t(bytes_[size_t(at) + (little_ ? count - 1 - i : i)]);
    }
    return value;
  }

 private:
  const std::string& bytes_;
  const bool little_;
};

// Returns whether an orientation is among these.
bool is_one_of(int orientation, const std::string& digits) {
  return digits.find(char('0' + orientation)) != std::string::npos;
}

}  // namespace

int orientation_of(const std::string& exif) {
  const Tiff tiff(exif);
  if (tiff.number(2, 2) != kTiffMark) return 1;
  const uint64_t start = tiff.number(4, 4), count = tiff.number(start, 2);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t entry = start + 2 + kEntry * i, tag = tiff.number(entry, 2);
    if (tag == kTag) {
      const uint64_t value = tiff.number(entry + 8, 2);
      return value >= 1 && value <= 8 ? int(value) : 1;
    }
    // OpenCV reads no further than a text that lies outside of the file.
    const uint64_t size = tiff.number(entry + 4, 4);
    const bool is_text = tag >= kFirstText && tag <= kLastText && size > kMostInEntry;
    if (is_text && !tiff.contains(tiff.number(entry + 8, 4), size)) return 1;
  }
  return 1;
}

Picture upright(Picture picture, int orientation) {
  if (orientation == 1) return picture;
  const bool swaps = orientation > 4;  // rows become columns
  const bool bottom_up = is_one_of(orientation, "3467");
  const bool right_to_left = is_one_of(orientation, "2378");
  const size_t height = size_t(picture.height), width = size_t(picture.width);
  Picture out{std::vector<uint8_t>(picture.rgb.size()), picture.height, picture.width};
  if (swaps) std::swap(out.height, out.width);
  uint8_t* to = out.rgb.data();
  for (size_t y = 0; y < size_t(out.height); ++y) {
    for (size_t x = 0; x < size_t(out.width); ++x, to += 3) {
      const size_t row = swaps ? x : y, column = swaps ? y : x;
      const size_t from_row = bottom_up ? height - 1 - row : row;
      const size_t from_column = right_to_left ? width - 1 - column : column;
      std::copy_n(picture.rgb.data() + 3 * (from_row * width + from_column), 3, to);
    }
  }
  return out;
}

}  // namespace detkit
