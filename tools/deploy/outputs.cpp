#include "outputs.hpp"

#include "json_checks.hpp"

namespace detkit {
namespace {

constexpr int kMostRows = 100000, kLargestMask = 1024, kMostKeypoints = 512;
constexpr size_t kMostLimbs = 4096;

// Returns the sides of an output after "B", or nothing if its shape is no list of whole numbers.
std::vector<double> sides_of(const Json& output) {
  const Json* shape = output.find("shape");
  if (!shape || shape->items.empty() || shape->items[0].string != "B") return {};
  std::vector<double> sides;
  for (size_t i = 1; i < shape->items.size(); ++i) {
    if (!is_whole(shape->items[i], 1, kMostRows)) return {};
    sides.push_back(shape->items[i].number);
  }
  return sides;
}

bool has_name(const Json& output, const char* name) {
  const Json* found = output.find("name");
  return found && found->string == name;
}

// Reads the skeleton of the heatmaps of so many keypoints. Returns false for any other value.
bool read_skeleton(const Json& output, double keypoints, Limbs* skeleton) {
  const Json* pairs = output.find("skeleton");
  if (!pairs || pairs->kind != Json::Kind::array || pairs->items.size() > kMostLimbs) return false;
  for (const Json& pair : pairs->items) {
    const bool right = pair.items.size() == 2 && is_whole(pair.items[0], 0, keypoints - 1) &&
                       is_whole(pair.items[1], 0, keypoints - 1);
    if (!right) return false;
    skeleton->emplace_back(int(pair.items[0].number), int(pair.items[1].number));
  }
  return true;
}

// Reads the fourth output of a detector with so many rows. Returns false if it is none.
bool read_fourth(const Json& output, double rows, Outputs* outputs) {
  const std::vector<double> sides = sides_of(output);
  const bool is_heatmaps = sides.size() + 1 == kHeatmapAxes;
  if (sides.size() + 1 < kMaskAxes || sides.size() + 1 > kHeatmapAxes) return false;
  const char* name = is_heatmaps ? "heatmaps" : "masks";
  outputs->names.push_back(name);
  const double side = sides.back();
  return has_name(output, name) && sides[0] == rows && side <= kLargestMask &&
         sides[sides.size() - 2] == side &&
         (!is_heatmaps ||
          (sides[1] <= kMostKeypoints && read_skeleton(output, sides[1], &outputs->skeleton)));
}

}  // namespace

Outputs read_outputs(const std::string& where, const Json& outputs) {
  Outputs read{{"boxes", "scores", "labels"}, {}};
  const std::vector<Json>& items = outputs.items;
  bool right = items.size() == 3 || items.size() == 4;
  const std::vector<double> boxes = right ? sides_of(items[0]) : std::vector<double>{};
  right = right && boxes.size() == 2 && boxes[1] == 4;
  for (size_t i = 0; right && i < 3; ++i) {
    right = has_name(items[i], read.names[i].c_str()) &&
            (i == 0 || sides_of(items[i]) == std::vector<double>{boxes[0]});
  }
  if (right && items.size() == 4) right = read_fourth(items[3], boxes[0], &read);
  if (!right) {
    fail(
        where,
        "boxes (B, D, 4), scores (B, D), labels (B, D) and perhaps masks (B, D, M, M), or heatmaps "
        "(B, D, J, M, M) with a skeleton of pairs of numbers from 0 to J - 1, with D up to " +
            std::to_string(kMostRows) + ", J up to " + std::to_string(kMostKeypoints) +
            " and M up to " + std::to_string(kLargestMask),
        "others");
  }
  return read;
}

}  // namespace detkit
