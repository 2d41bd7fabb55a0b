// Detection in tiles, for small objects in large images: the rules of detkit/data/tiles.py and
// detkit/detections/merge.py in Python, for any back end.
#pragma once

#include <vector>

#include "detkit.hpp"

namespace detkit {

struct Tiling {
  int size;              // the side of a tile in pixels of the image
  double overlap = 0.2;  // the least share of its side that it has in common with its neighbour
  bool whole = true;     // look at the whole image, too, for objects larger than a tile
  int batch = 1;         // the most tiles that go through the network at once
};

constexpr double kMostOverlap = 0.9;

struct Tile {
  int x1, y1, x2, y2;
};

// Returns the tiles of an image, row by row, all of one shape.
std::vector<Tile> cover(int height, int width, const Tiling& tiling);

// Returns the objects of an image, best first. Throws Error.
std::vector<Detection> detect_in_tiles(Detector* detector, const Image& image,
                                       const Tiling& tiling);

}  // namespace detkit
