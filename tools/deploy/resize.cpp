#include "resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace detkit {
namespace {

constexpr int kChannels = 3;

size_t values_of(int width) { return kChannels * size_t(width); }

const uint8_t* row_of(const Image& image, int y) {
  return image.rgb + size_t(y) * values_of(image.width);
}

// The planes of the result, which take its rows.
struct Planes {
  float* values;
  Size canvas;

  template <typename T>
  void set_row(int y, const T* pixels, int width) const {
    for (int channel = 0; channel < kChannels; ++channel) {
      const size_t plane = size_t(channel) * size_t(canvas.height) + size_t(y);
      float* row = values + plane * size_t(canvas.width);
      for (int x = 0; x < width; ++x) row[x] = float(pixels[kChannels * x + channel]);
    }
  }
};

// ------------------------------------------------------------------------------ OpenCV

constexpr int kCoefficientBits = 11, kMostTaps = 4;

int32_t to_fixed(float weight) { return int32_t(std::lrint(weight * (1 << kCoefficientBits))); }

// The source pixels of each pixel of an axis: `count` of them from `first` on, with weights in
// units of 2^-11. A pixel outside of the image repeats the border.
struct FixedTaps {
  int count;
  std::vector<int> first;
  std::vector<int32_t> weights;

  FixedTaps(int before, int after, bool cubic) : count(cubic ? 4 : 2) {
    const double scale = 1.0 / (double(after) / before);
    for (int i = 0; i < after; ++i) {
      float position = float((i + 0.5) * scale - 0.5);
      const int low = int(std::floor(position));
      position -= float(low);
      first.push_back(cubic ? low - 1 : low);
      if (cubic) {
        add_cubic(position);
      } else {
        weights.push_back(to_fixed(1.0f - position));
        weights.push_back(to_fixed(position));
      }
    }
  }

  // Keys' kernel with a = -0.75.
  void add_cubic(float x) {
    constexpr float a = -0.75f;
    const float w0 = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
    const float w1 = ((a + 2) * x - (a + 3)) * x * x + 1;
    const float w2 = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1;
    for (const float weight : {w0, w1, w2, 1.0f - w0 - w1 - w2}) {
      weights.push_back(to_fixed(weight));
    }
  }
};

// Rows of the image at the width of the result. It keeps as many as one row of the result needs.
class WideRows {
 public:
  WideRows(const Image& image, const FixedTaps& columns, int count)
      : image_(image), columns_(columns), kept_(size_t(count), -1), rows_(size_t(count)) {
    for (size_t x = 0; x < columns.first.size(); ++x) {
      for (int tap = 0; tap < columns.count; ++tap) {
        const int at = std::clamp(columns.first[x] + tap, 0, image.width - 1);
        places_.push_back(values_of(at));
      }
    }
  }

  const int32_t* get(int y) {
    y = std::clamp(y, 0, image_.height - 1);
    const size_t slot = size_t(y) % rows_.size();
    if (kept_[slot] != y) {
      make(row_of(image_, y), &rows_[slot]);
      kept_[slot] = y;
    }
    return rows_[slot].data();
  }

 private:
  void make(const uint8_t* row, std::vector<int32_t>* out) const {
    out->assign(kChannels * columns_.first.size(), 0);
    const size_t taps = size_t(columns_.count);
    int32_t* value = out->data();
    for (size_t x = 0; x < columns_.first.size(); ++x, value += kChannels) {
      for (size_t tap = x * taps; tap < (x + 1) * taps; ++tap) {
        const uint8_t* pixel = row + places_[tap];
        for (int c = 0; c < kChannels; ++c) value[c] += pixel[c] * columns_.weights[tap];
      }
    }
  }

  const Image& image_;
  const FixedTaps& columns_;
  std::vector<size_t> places_;
  std::vector<int> kept_;
  std::vector<std::vector<int32_t>> rows_;
};

// OpenCV's arithmetic, which drops bits of each sum before it adds them.
uint8_t mix_two(const int32_t* const* rows, const int32_t* weights, size_t i) {
  const int32_t high = (weights[0] * (rows[0][i] >> 4)) >> 16;
  const int32_t low = (weights[1] * (rows[1][i] >> 4)) >> 16;
  return uint8_t((high + low + 2) >> 2);
}

// OpenCV built with Intel's IPP uses IPP here, and a pixel in 25 differs by 1.
uint8_t mix_four(const int32_t* const* rows, const int32_t* weights, size_t i) {
  int32_t total = 1 << (2 * kCoefficientBits - 1);  // rounds instead of truncating
  for (int tap = 0; tap < kMostTaps; ++tap) total += rows[tap][i] * weights[tap];
  return uint8_t(std::clamp(total >> 2 * kCoefficientBits, 0, 255));
}

// Halves an image, for which OpenCV takes the mean of 2 x 2 pixels.
void halve(const Image& image, Size size, const Planes& planes) {
  std::vector<uint8_t> out(values_of(size.width));
  for (int y = 0; y < size.height; ++y) {
    const uint8_t *one = row_of(image, 2 * y), *two = row_of(image, 2 * y + 1);
    for (size_t i = 0; i < out.size(); ++i) {
      const size_t at = i / kChannels * 2 * kChannels + i % kChannels;
      const int sum = one[at] + one[at + kChannels] + two[at] + two[at + kChannels];
      out[i] = uint8_t((sum + 2) >> 2);
    }
    planes.set_row(y, out.data(), size.width);
  }
}

void like_opencv(const Image& image, Size size, bool cubic, const Planes& planes) {
  if (!cubic && image.height == 2 * size.height && image.width == 2 * size.width) {
    halve(image, size, planes);
    return;
  }
  const FixedTaps lines(image.height, size.height, cubic), columns(image.width, size.width, cubic);
  WideRows wide(image, columns, lines.count);
  const auto mix = cubic ? mix_four : mix_two;
  std::vector<uint8_t> out(values_of(size.width));
  for (int y = 0; y < size.height; ++y) {
    const int32_t* rows[kMostTaps];
    for (int tap = 0; tap < lines.count; ++tap) rows[tap] = wide.get(lines.first[size_t(y)] + tap);
    const int32_t* weights = &lines.weights[size_t(y) * size_t(lines.count)];
    for (size_t i = 0; i < out.size(); ++i) out[i] = mix(rows, weights, i);
    planes.set_row(y, out.data(), size.width);
  }
}

// ------------------------------------------------------------------------------- torch

struct Between {
  int low, high;
  float share;  // of high
};

std::vector<Between> between(int before, int after) {
  std::vector<Between> out;
  const double step = float(double(before) / after);
  for (int i = 0; i < after; ++i) {
    const float position = float(std::max((i + 0.5) * step - 0.5, 0.0));
    const int low = std::min(int(position), before - 1);
    out.push_back({low, std::min(low + 1, before - 1), position - float(low)});
  }
  return out;
}

void like_torch(const Image& image, Size size, const Planes& planes) {
  const std::vector<Between> columns = between(image.width, size.width);
  const std::vector<Between> lines = between(image.height, size.height);
  std::vector<float> mixed(values_of(image.width)), out(values_of(size.width));
  for (int y = 0; y < size.height; ++y) {
    const auto [low, high, share] = lines[size_t(y)];
    const uint8_t *one = row_of(image, low), *two = row_of(image, high);
    for (size_t i = 0; i < mixed.size(); ++i) {
      mixed[i] = float(one[i]) * (1 - share) + float(two[i]) * share;
    }
    for (size_t i = 0; i < out.size(); ++i) {
      const Between& at = columns[i / kChannels];
      const size_t channel = i % kChannels;
      out[i] = mixed[values_of(at.low) + channel] * (1 - at.share) +
               mixed[values_of(at.high) + channel] * at.share;
    }
    planes.set_row(y, out.data(), size.width);
  }
}

// ------------------------------------------------------------------------------ Pillow

constexpr int kTriangleBits = 22;

// The pixels under the triangle around a pixel of the result, and their weights.
struct Triangle {
  int first;
  std::vector<int32_t> weights;
};

std::vector<Triangle> triangles(int before, int after) {
  std::vector<Triangle> out(size_t(after), Triangle{});
  const double step = double(before) / after, reach = std::max(step, 1.0);
  for (int i = 0; i < after; ++i) {
    const double centre = (i + 0.5) * step;
    const int first = std::max(int(centre - reach + 0.5), 0);
    const int last = std::min(int(centre + reach + 0.5), before);
    std::vector<double> weights;
    double sum = 0;
    for (int place = first; place < last; ++place) {
      weights.push_back(std::max(1 - std::abs((place - centre + 0.5) * (1 / reach)), 0.0));
      sum += weights.back();
    }
    out[size_t(i)].first = first;
    for (const double weight : weights) {
      out[size_t(i)].weights.push_back(int32_t(weight / sum * (1 << kTriangleBits) + 0.5));
    }
  }
  return out;
}

// Returns the weighted sum of the values under a triangle, which are `stride` apart.
uint8_t sum_under(const Triangle& triangle, const uint8_t* values, size_t stride) {
  int32_t total = 1 << (kTriangleBits - 1);  // rounds instead of truncating
  for (const int32_t weight : triangle.weights) {
    total += *values * weight;
    values += stride;
  }
  return uint8_t(std::clamp(total >> kTriangleBits, 0, 255));
}

void like_pillow(const Image& image, Size size, const Planes& planes) {
  const std::vector<Triangle> columns = triangles(image.width, size.width);
  const std::vector<Triangle> lines = triangles(image.height, size.height);
  const size_t values = values_of(size.width);
  std::vector<uint8_t> narrow(size_t(image.height) * values), out(values);
  for (int y = 0; y < image.height; ++y) {
    for (size_t i = 0; i < values; ++i) {
      const Triangle& triangle = columns[i / kChannels];
      const uint8_t* from = row_of(image, y) + values_of(triangle.first) + i % kChannels;
      narrow[size_t(y) * values + i] = sum_under(triangle, from, kChannels);
    }
  }
  for (int y = 0; y < size.height; ++y) {
    const Triangle& triangle = lines[size_t(y)];
    const uint8_t* from = narrow.data() + size_t(triangle.first) * values;
    for (size_t i = 0; i < values; ++i) out[i] = sum_under(triangle, from + i, values);
    planes.set_row(y, out.data(), size.width);
  }
}

}  // namespace

Size resized(const Resize& rule, Size size) {
  const double scale = std::min(double(rule.shorter) / std::min(size.height, size.width),
                                double(rule.longer) / std::max(size.height, size.width));
  const auto whole = [&](int side) {
    const double exact = side * scale;
    const double rounded = rule.like == Like::detectron2    ? std::floor(exact + 0.5)
                           : rule.like == Like::torchvision ? std::floor(exact)
                                                            : std::nearbyint(exact);
    return std::max(1, int(rounded));
  };
  return {whole(size.height), whole(size.width)};
}

void resample(const Image& image, Like like, Size size, float* planes, Size canvas) {
  const Planes target{planes, canvas};
  if (size.height == image.height && size.width == image.width) {
    for (int y = 0; y < size.height; ++y) target.set_row(y, row_of(image, y), size.width);
  } else if (like == Like::torchvision) {
    like_torch(image, size, target);
  } else if (like == Like::detectron2) {
    like_pillow(image, size, target);
  } else {
    like_opencv(image, size, like == Like::gluoncv, target);
  }
}

}  // namespace detkit
