#include "keypoints.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace detkit {
namespace {

constexpr size_t kTaps = 4;  // cells along a side that an interpolation reads
constexpr float kSharpness = -0.75f;

// One pixel of a resized heatmap along a side: the cells that it reads, and their weights.
struct Tap {
  std::array<size_t, kTaps> cells;
  std::array<float, kTaps> weights;
};

// Returns the taps of `pixels` pixels over `cells` cells. Cells beyond the border are those at it.
std::vector<Tap> taps_of(size_t pixels, size_t cells) {
  constexpr float a = kSharpness;
  std::vector<Tap> taps(pixels);
  for (size_t i = 0; i < pixels; ++i) {
    const float at = float((double(i) + 0.5) * (double(cells) / double(pixels)) - 0.5);
    const float first = std::floor(at), x = at - first, y = 1 - x;
    std::array<float, kTaps>& weights = taps[i].weights;
    weights[0] = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
    weights[1] = ((a + 2) * x - (a + 3)) * x * x + 1;
    weights[2] = ((a + 2) * y - (a + 3)) * y * y + 1;
    weights[3] = 1 - weights[0] - weights[1] - weights[2];
    for (size_t tap = 0; tap < kTaps; ++tap) {
      const float cell = first - 1 + float(tap);
      taps[i].cells[tap] = size_t(std::clamp(cell, 0.0f, float(cells - 1)));
    }
  }
  return taps;
}

// The pixel of a resized heatmap with the largest logit.
struct Peak {
  float logit;
  size_t column, row;
};

Peak peak_of(const float* heatmap, size_t side, const std::vector<Tap>& columns,
             const std::vector<Tap>& rows) {
  const auto sum = [](const Tap& tap, const auto& value) {
    float total = 0;
    for (size_t i = 0; i < kTaps; ++i) total += tap.weights[i] * value(tap.cells[i]);
    return total;
  };
  std::vector<float> stretched(side * columns.size());  // along x alone
  for (size_t y = 0; y < side; ++y) {
    for (size_t x = 0; x < columns.size(); ++x) {
      stretched[y * columns.size() + x] =
          sum(columns[x], [&](size_t cell) { return heatmap[y * side + cell]; });
    }
  }
  Peak best{-INFINITY, 0, 0};
  for (size_t y = 0; y < rows.size(); ++y) {
    for (size_t x = 0; x < columns.size(); ++x) {
      const float logit =
          sum(rows[y], [&](size_t cell) { return stretched[cell * columns.size() + x]; });
      if (logit > best.logit) best = {logit, x, y};
    }
  }
  return best;
}

// Returns the softmax of a logit among the cells of a heatmap, at most 1.
float score_of(float logit, const float* heatmap, size_t cells) {
  const float largest = *std::max_element(heatmap, heatmap + cells);
  double total = 0;
  for (size_t i = 0; i < cells; ++i) total += std::exp(double(heatmap[i]) - largest);
  return float(std::min(std::exp(double(logit) - largest) / total, 1.0));
}

}  // namespace

std::vector<Keypoint> decode_keypoints(const float* heatmaps, size_t count, size_t side,
                                       const float* box, Size size) {
  const float width = std::clamp(box[2] - box[0], 1.0f, float(std::max(size.width, 1)));
  const float height = std::clamp(box[3] - box[1], 1.0f, float(std::max(size.height, 1)));
  const std::vector<Tap> columns = taps_of(size_t(std::ceil(width)), side);
  const std::vector<Tap> rows = taps_of(size_t(std::ceil(height)), side);
  std::vector<Keypoint> found;
  for (size_t i = 0; i < count; ++i) {
    const float* heatmap = heatmaps + i * side * side;
    const Peak peak = peak_of(heatmap, side, columns, rows);
    found.push_back({box[0] + (float(peak.column) + 0.5f) * width / float(columns.size()),
                     box[1] + (float(peak.row) + 0.5f) * height / float(rows.size()),
                     score_of(peak.logit, heatmap, side * side)});
  }
  return found;
}

}  // namespace detkit
