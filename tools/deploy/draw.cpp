#include "draw.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#ifdef DETKIT_OPENCV
#include <opencv2/imgproc.hpp>
#endif

namespace detkit {
namespace {

using Colour = std::array<uint8_t, 3>;

constexpr float kTint = 0.45f, kThreshold = 0.5f;
constexpr float kLeastScore = 0.05f;     // of a keypoint that is drawn
constexpr float kLongestLimb = 1 << 16;  // pixels

// Returns the colour of a class. Steps of the golden ratio keep the first few hues far apart.
Colour colour_of(int label) {
  const double hue = 6 * std::fmod(0.08 + 0.6180339887498949 * label, 1.0);
  Colour colour;
  for (size_t channel = 0; channel < 3; ++channel) {
    const double turned = std::fmod(hue + 6 - 2 * double(channel), 6.0);
    const double share = std::clamp(std::abs(turned - 3) - 1, 0.0, 1.0);
    colour[channel] = uint8_t(std::lrint(255 * (0.25 + 0.75 * share)));
  }
  return colour;
}

uint8_t* pixel(Picture* picture, int x, int y) {
  return &picture->rgb[3 * (size_t(y) * size_t(picture->width) + size_t(x))];
}

struct Corners {
  int x1, y1, x2, y2;  // pixels of the picture, x2 and y2 included
};

Corners corners_of(const Detection& found, const Picture& picture) {
  const auto inside = [](float at, int side) {
    return int(std::lrint(std::clamp(at, 0.0f, float(side - 1))));
  };
  return {inside(found.x1, picture.width), inside(found.y1, picture.height),
          inside(found.x2, picture.width), inside(found.y2, picture.height)};
}

int line_width(const Picture& picture) {
  const double side = std::sqrt(double(picture.height) * picture.width);
  return std::max(1, int(std::lrint(0.6 + side / 320)));
}

void tint(const std::vector<float>& mask, const Colour& colour, Picture* picture) {
  for (size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] < kThreshold) continue;
    for (size_t channel = 0; channel < 3; ++channel) {
      uint8_t& value = picture->rgb[3 * i + channel];
      value = uint8_t(std::lrint(float(value) * (1 - kTint) + float(colour[channel]) * kTint));
    }
  }
}

// Fills those pixels of a square around a point, of `reach` pixels to each side, that lie in the
// picture.
void dot(float x, float y, int reach, const Colour& colour, Picture* picture) {
  const auto clipped = [](float at, int side) {
    return int(std::clamp(std::floor(at), 0.0f, float(side)));
  };
  const float before = float(reach), after = before + 1;
  const int bottom = clipped(y + after, picture->height);
  const int right = clipped(x + after, picture->width);
  for (int row = clipped(y - before, picture->height); row < bottom; ++row) {
    for (int column = clipped(x - before, picture->width); column < right; ++column) {
      std::copy(colour.begin(), colour.end(), pixel(picture, column, row));
    }
  }
}

// Draws the keypoints of at least kLeastScore, and lines between two of them.
void draw_skeleton(const std::vector<Keypoint>& points, const Limbs& skeleton, int line,
                   const Colour& colour, Picture* picture) {
  const auto is_shown = [&](int i) { return points[size_t(i)].score >= kLeastScore; };
  for (const auto& [first, second] : skeleton) {
    if (std::max(first, second) >= int(points.size())) continue;
    if (!is_shown(first) || !is_shown(second)) continue;
    const Keypoint &from = points[size_t(first)], &to = points[size_t(second)];
    const float longest = std::max(std::abs(to.x - from.x), std::abs(to.y - from.y));
    const int steps = int(std::clamp(longest, 1.0f, kLongestLimb));
    for (int i = 0; i <= steps; ++i) {
      const float share = float(i) / float(steps);
      dot(from.x + share * (to.x - from.x), from.y + share * (to.y - from.y), line / 2, colour,
          picture);
    }
  }
  for (int i = 0; i < int(points.size()); ++i) {
    if (is_shown(i)) dot(points[size_t(i)].x, points[size_t(i)].y, line + 1, colour, picture);
  }
}

void frame(const Corners& box, int width, const Colour& colour, Picture* picture) {
  for (int y = box.y1; y <= box.y2; ++y) {
    const bool whole_row = y < box.y1 + width || y > box.y2 - width;
    for (int x = box.x1; x <= box.x2; ++x) {
      if (!whole_row && x >= box.x1 + width && x <= box.x2 - width) x = box.x2 - width + 1;
      std::copy(colour.begin(), colour.end(), pixel(picture, x, y));
    }
  }
}

#ifdef DETKIT_OPENCV

void write_label(const std::string& text, const Corners& box, const Colour& colour,
                 Picture* picture) {
  cv::Mat canvas(picture->height, picture->width, CV_8UC3, picture->rgb.data());
  const int line = line_width(*picture), font = cv::FONT_HERSHEY_SIMPLEX;
  const double scale = std::clamp(std::sqrt(double(canvas.total())) / 1100, 0.36, 2.5);
  const int stroke = std::max(1, int(std::lrint(1.6 * scale)));
  int below = 0;
  const cv::Size size = cv::getTextSize(text, font, scale, stroke, &below);
  const int height = size.height + below + line;
  const int top = std::max(0, box.y1 - height);
  const int left = std::max(0, std::min(box.x1, canvas.cols - size.width - 2 * line));
  const cv::Scalar ink =
      cv::Scalar::all(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 130 ? 0 : 255);
  cv::rectangle(canvas, {left, top, size.width + 2 * line, height},
                cv::Scalar(colour[0], colour[1], colour[2]), cv::FILLED);
  cv::putText(canvas, text, {left + line, top + size.height + line / 2 + 1}, font, scale, ink,
              stroke, cv::LINE_AA);
}

#else

void write_label(const std::string&, const Corners&, const Colour&, Picture*) {}

#endif

}  // namespace

void draw(const std::vector<Detection>& detections, const std::vector<std::string>& classes,
          const Limbs& skeleton, Picture* picture) {
  for (auto found = detections.rbegin(); found != detections.rend(); ++found) {
    const Colour colour = colour_of(found->label);
    const Corners box = corners_of(*found, *picture);
    tint(paste_mask(*found, picture->height, picture->width), colour, picture);
    frame(box, line_width(*picture), colour, picture);
    draw_skeleton(found->keypoints, skeleton, line_width(*picture), colour, picture);
    char score[16];
    std::snprintf(score, sizeof score, " %.2f", double(found->score));
    write_label(classes[size_t(found->label)] + score, box, colour, picture);
  }
}

}  // namespace detkit
