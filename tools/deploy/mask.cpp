#include "mask.hpp"

#include <cstdint>

#include "detkit.hpp"

namespace detkit {

namespace baseline {
// In detkit/ops/native/cpu/mask_paste.cc; detkit/ops/native/kernels.h says what it computes.
int mask_paste(int masks, int size, const float* probabilities, const float* boxes, int height,
               int width, float* out);
}  // namespace baseline

namespace {

constexpr float kThreshold = 0.5f;

// Appends a number in COCO's text: five bits in a character, the least significant first, and a
// sixth bit if more follow.
void append_number(int64_t number, std::string* out) {
  bool more = true;
  while (more) {
    int character = int(number & 0x1f);
    number >>= 5;
    more = (character & 0x10) ? number != -1 : number != 0;  // a reader takes 0x10 as the sign
    *out += char(48 + (more ? character | 0x20 : character));
  }
}

}  // namespace

std::vector<float> paste_mask(const Detection& detection, int height, int width) {
  if (detection.mask_size == 0) return {};
  if (height < 1 || width < 1) {
    throw Error("paste_mask: expected an image, found " + std::to_string(height) + " x " +
                std::to_string(width) + " pixels");
  }
  const float box[] = {detection.x1, detection.y1, detection.x2, detection.y2};
  std::vector<float> mask(size_t(height) * size_t(width));
  if (baseline::mask_paste(1, detection.mask_size, detection.mask_probs.data(), box, height, width,
                           mask.data()) != 0) {
    throw Error("paste_mask: the mask or the image is too large");
  }
  return mask;
}

std::string coco_run_lengths(const std::vector<float>& mask, int height, int width) {
  std::vector<int64_t> lengths{0};  // outside, inside, outside, ...
  bool inside = false;
  for (int x = 0; x < width; ++x) {
    for (int y = 0; y < height; ++y) {
      const bool now = mask[size_t(y) * size_t(width) + size_t(x)] >= kThreshold;
      if (now != inside) lengths.push_back(0);
      inside = now;
      ++lengths.back();
    }
  }
  std::string text;
  for (size_t i = 0; i < lengths.size(); ++i) {
    append_number(i > 2 ? lengths[i] - lengths[i - 2] : lengths[i], &text);
  }
  return text;
}

}  // namespace detkit
