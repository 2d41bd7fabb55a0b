// The outputs of the network in model.json.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "detkit.hpp"
#include "json.hpp"

namespace detkit {

constexpr size_t kMaskAxes = 4, kHeatmapAxes = 5;  // of the fourth output

struct Outputs {
  std::vector<std::string> names;
  Limbs skeleton;  // the pairs of keypoints that a drawing connects; empty without heatmaps
};

// Reads the list `outputs`. Throws Error with the place `where` unless they are those of a detector
// (detkit/export/manifest_rules.py).
Outputs read_outputs(const std::string& where, const Json& outputs);

}  // namespace detkit
