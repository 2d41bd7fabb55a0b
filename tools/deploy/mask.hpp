#pragma once

#include <string>
#include <vector>

namespace detkit {

// The pixels of a mask (height, width) whose probability is at least 0.5, as COCO writes them in
// JSON: its compressed run lengths, column by column.
std::string coco_run_lengths(const std::vector<float>& mask, int height, int width);

}  // namespace detkit
