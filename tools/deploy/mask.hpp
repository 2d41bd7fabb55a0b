#pragma once

#include <string>
#include <vector>

namespace detkit {

// Returns the pixels of a mask (height, width) with a probability of at least 0.5 as COCO writes
// them in JSON: compressed run lengths, column by column.
std::string coco_run_lengths(const std::vector<float>& mask, int height, int width);

}  // namespace detkit
