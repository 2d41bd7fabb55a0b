#include "tiles.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace detkit {
namespace {

// The numbers of detkit/data/tiles.py and detkit/detections/merge.py.
constexpr double kRounding = 1e-9;
constexpr float kBorder = 2;
constexpr float kPlausible = 0.25f;
constexpr double kIou = 0.5;

struct Box {
  double x1, y1, x2, y2;

  double area() const { return std::max(x2 - x1, 0.0) * std::max(y2 - y1, 0.0); }
};

Box common(const Box& a, const Box& b) {
  return {std::max(a.x1, b.x1), std::max(a.y1, b.y1), std::min(a.x2, b.x2), std::min(a.y2, b.y2)};
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

double iou(const Box& a, const Box& b) {
  const double shared = common(a, b).area();
  return share(shared, a.area() + b.area() - shared);
}

// Returns the share of `a` that is within `b`.
double within(const Box& a, const Box& b) { return share(common(a, b).area(), a.area()); }

// A detection in pixels of the image, and the view that it is of.
struct Row {
  Detection found;
  Box box;
  Box view;
  size_t number;  // of the view
  bool cut;       // the border of its view, and not of the image, ends the box
  float own;      // the score before it took that of a piece
  size_t to;      // the row that it has given way to, or its own index

  bool meets(const Row& other) const {
    if (found.label != other.found.label || number == other.number) return false;
    const Box both = common(box, other.box);
    return both.x2 > both.x1 && both.y2 > both.y1;
  }

  double overlap(const Row& other) const {
    double most = iou(box, other.box);
    if (cut) most = std::max(most, within(box, other.box));
    if (other.cut) most = std::max(most, within(other.box, box));
    return most;
  }

  bool is_piece_of(const Row& other) const {
    if (other.own < kPlausible * own) return false;
    if (within(box, other.box) > kIou) return true;
    const Box zone = common(view, other.view);
    return other.cut && iou(common(box, zone), common(other.box, zone)) > kIou;
  }
};

Row row_of(Detection found, const Tile& tile, size_t number, const Image& image) {
  const float x = float(tile.x1), y = float(tile.y1);
  found.x1 += x;
  found.x2 += x;
  found.y1 += y;
  found.y2 += y;
  for (Keypoint& point : found.keypoints) {
    point.x += x;
    point.y += y;
  }
  const bool cut = (tile.x1 > 0 && found.x1 <= x + kBorder) ||
                   (tile.y1 > 0 && found.y1 <= y + kBorder) ||
                   (tile.x2 < image.width && found.x2 >= float(tile.x2) - kBorder) ||
                   (tile.y2 < image.height && found.y2 >= float(tile.y2) - kBorder);
  const Box box{found.x1, found.y1, found.x2, found.y2};
  const Box view{double(tile.x1), double(tile.y1), double(tile.x2), double(tile.y2)};
  const float own = found.score;
  return {std::move(found), box, view, number, cut, own, 0};
}

// Lets pieces give way: to whole objects, and to pieces that are larger.
void join_pieces(std::vector<Row>* rows) {
  std::vector<size_t> order(rows->size());
  std::iota(order.begin(), order.end(), size_t(0));
  for (size_t i : order) (*rows)[i].to = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) {
    const Row &a = (*rows)[i], &b = (*rows)[j];
    if (a.cut != b.cut) return b.cut;
    const double area = a.box.area(), other = b.box.area();
    return area != other ? area > other : a.own > b.own;
  });
  for (size_t place = 0; place < order.size(); ++place) {
    Row& row = (*rows)[order[place]];
    if (!row.cut) continue;
    double best = -1;
    size_t index = 0;
    for (size_t before = 0; before < place; ++before) {
      const size_t i = order[before];
      const Row& other = (*rows)[i];
      if (!row.meets(other) || !row.is_piece_of(other)) continue;
      const double overlap = iou(row.box, other.box);
      if (overlap > best || (overlap == best && i < index)) {
        best = overlap;
        index = i;
      }
    }
    if (best < 0) continue;
    row.to = (*rows)[index].to;
    Detection& whole = (*rows)[row.to].found;
    whole.score = std::max(whole.score, row.own);
  }
}

std::vector<Detection> merged(std::vector<Row> rows) {
  join_pieces(&rows);
  std::vector<size_t> left;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].to == i) left.push_back(i);
  }
  std::stable_sort(left.begin(), left.end(),
                   [&](size_t i, size_t j) { return rows[i].found.score > rows[j].found.score; });
  std::vector<Detection> found;
  std::vector<size_t> kept;
  for (size_t i : left) {
    const auto covers = [&](size_t j) {
      return rows[j].meets(rows[i]) && rows[j].overlap(rows[i]) > kIou;
    };
    if (std::none_of(kept.begin(), kept.end(), covers)) kept.push_back(i);
  }
  for (size_t i : kept) found.push_back(std::move(rows[i].found));
  return found;
}

std::vector<int> starts(int side, int size, double overlap) {
  if (size >= side) return {0};
  const int step = std::max(1, size - int(std::ceil(size * overlap - kRounding)));
  const int count = (side - size + step - 1) / step + 1;
  std::vector<int> firsts;
  for (int i = 0; i < count; ++i)
    firsts.push_back(int(std::min(int64_t(i) * step, int64_t(side - size))));
  return firsts;
}

std::vector<uint8_t> pixels_of(const Image& image, const Tile& tile) {
  const size_t row = 3 * size_t(tile.x2 - tile.x1);
  std::vector<uint8_t> pixels(row * size_t(tile.y2 - tile.y1));
  for (int y = tile.y1; y < tile.y2; ++y) {
    const uint8_t* from = image.rgb + 3 * (size_t(y) * size_t(image.width) + size_t(tile.x1));
    std::memcpy(pixels.data() + size_t(y - tile.y1) * row, from, row);
  }
  return pixels;
}

// Returns the detections of each tile.
std::vector<std::vector<Detection>> detect(Detector* detector, const Image& image,
                                           const std::vector<Tile>& tiles) {
  std::vector<std::vector<uint8_t>> pixels;
  std::vector<Image> images;
  for (const Tile& tile : tiles) {
    pixels.push_back(pixels_of(image, tile));
    images.push_back({pixels.back().data(), tile.y2 - tile.y1, tile.x2 - tile.x1});
  }
  return detector->detect(images);
}

}  // namespace

std::vector<Tile> cover(int height, int width, const Tiling& tiling) {
  const int tall = std::min(tiling.size, height), wide = std::min(tiling.size, width);
  const std::vector<int> columns = starts(width, tiling.size, tiling.overlap);
  std::vector<Tile> tiles;
  for (int y : starts(height, tiling.size, tiling.overlap)) {
    for (int x : columns) tiles.push_back({x, y, x + wide, y + tall});
  }
  return tiles;
}

std::vector<Detection> detect_in_tiles(Detector* detector, const Image& image,
                                       const Tiling& tiling) {
  const std::vector<Tile> tiles = cover(image.height, image.width, tiling);
  if (tiles.size() < 2) return detector->detect(image.rgb, image.height, image.width);
  const size_t most = size_t(tiling.batch), count = (tiles.size() + most - 1) / most;
  const size_t each = (tiles.size() + count - 1) / count;
  std::vector<Row> rows;
  for (size_t first = 0; first < tiles.size(); first += each) {
    const size_t last = std::min(first + each, tiles.size());
    std::vector<Tile> group(tiles.begin() + std::ptrdiff_t(first),
                            tiles.begin() + std::ptrdiff_t(last));
    group.resize(each, group.back());  // a network is prepared for each new shape of a batch
    std::vector<std::vector<Detection>> found = detect(detector, image, group);
    for (size_t i = first; i < last; ++i) {
      for (Detection& one : found[i - first]) {
        rows.push_back(row_of(std::move(one), tiles[i], i, image));
      }
    }
  }
  if (tiling.whole) {
    const Tile all{0, 0, image.width, image.height};
    for (Detection& one : detector->detect(image.rgb, image.height, image.width)) {
      rows.push_back(row_of(std::move(one), all, tiles.size(), image));
    }
  }
  return merged(std::move(rows));
}

}  // namespace detkit
