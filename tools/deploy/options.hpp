#pragma once

#include <optional>
#include <string>
#include <vector>

namespace detkit {

struct Options {
  std::string folder, draw_folder;
  std::vector<std::string> images;
  std::optional<float> score;  // none: the detector's threshold
  int batch = 1, repeat = 0, threads = 1;
  int tiles = 0;                  // the side of the tiles; 0: none
  std::optional<double> overlap;  // none: that of Tiling
  bool json = false, help = false, no_whole = false;

  bool prints_json() const { return json || repeat > 0 || draw_folder.empty(); }
};

// Reads the arguments. Throws Error for an unknown option or a value outside of its range.
Options parse_options(const std::vector<std::string>& words);

extern const char kUsage[];

}  // namespace detkit
