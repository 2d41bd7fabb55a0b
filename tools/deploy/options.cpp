#include "options.hpp"

#include <cstdlib>

#include "detkit.hpp"
#include "tiles.hpp"

namespace detkit {

const char kUsage[] = R"(detect DIR IMAGE... [options]

Detects objects with the exported detector in DIR and prints a line of JSON for each image.

  --score S      drop detections with a score below S, from 0 to 1 (default: the threshold of the
                 detector, which detkit test --threshold chose, or else 0.5)
  --draw OUTDIR  draw detections into copies of the images in OUTDIR, and print nothing
  --json         print with --draw, too; the text is UTF-8, and a byte of a file's name that is not
                 becomes U+FFFD
  --batch N      detect in N images at once, or with --tiles in N tiles (1)
  --tiles N      look at each image in tiles of N x N pixels, for small objects in large images, and
                 as a whole
  --overlap S    with --tiles: the share of its side that a tile has in common with its neighbour,
                 from 0 to 0.9 (0.2)
  --no-whole     with --tiles: do not look at the image as a whole
  --threads N    use N detectors, each in a thread of its own (1)
  --repeat N     detect N more times, and print the median time in milliseconds
  --help         print this text

The variable OMP_NUM_THREADS is the number of cores that an operator uses; MXNet's default is half
of them. MXNET_CPU_WORKER_NTHREADS is the number of operators that MXNet runs at once; with
--threads N set it to N.
)";

namespace {

double number(const std::string& option, const std::string& word, double least, double most) {
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  if (word.empty() || *end != '\0' || !(value >= least && value <= most)) {
    throw Error(option + ": expected a number from " + std::to_string(int(least)) + " to " +
                std::to_string(int(most)) + ", found '" + word + "'");
  }
  return value;
}

int count(const std::string& option, const std::string& word) {
  const double value = number(option, word, 1, 1 << 20);
  if (value != int(value)) {
    throw Error(option + ": expected a whole number, found '" + word + "'");
  }
  return int(value);
}

double share(const std::string& option, const std::string& word) {
  const double value = number(option, word, 0, 1);
  if (value <= kMostOverlap) return value;
  throw Error(option + ": expected a share from 0 to 0.9, found '" + word + "'");
}

}  // namespace

Options parse_options(const std::vector<std::string>& words) {
  Options options;
  std::vector<std::string> places;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) throw Error(word + ": expected a value after it, found none");
      return words[++i];
    };
    if (word == "--help" || word == "-h") {
      options.help = true;
    } else if (word == "--json") {
      options.json = true;
    } else if (word == "--score") {
      options.score = float(number(word, value(), 0, 1));
    } else if (word == "--draw") {
      options.draw_folder = value();
    } else if (word == "--batch") {
      options.batch = count(word, value());
    } else if (word == "--repeat") {
      options.repeat = count(word, value());
    } else if (word == "--tiles") {
      options.tiles = count(word, value());
    } else if (word == "--overlap") {
      options.overlap = share(word, value());
    } else if (word == "--no-whole") {
      options.no_whole = true;
    } else if (word == "--threads") {
      options.threads = count(word, value());
    } else if (word.size() > 1 && word[0] == '-') {
      throw Error("expected an option that --help lists, found '" + word + "'");
    } else {
      places.push_back(word);
    }
  }
  if (options.help) return options;
  if (options.tiles == 0 && (options.overlap || options.no_whole)) {
    throw Error(std::string(options.overlap ? "--overlap" : "--no-whole") +
                ": expected --tiles N beside it, found none");
  }
  if (places.size() < 2) {
    throw Error("expected the folder of a detector and images, found " +
                std::to_string(places.size()) + " of them; see --help");
  }
  options.folder = places.front();
  options.images.assign(places.begin() + 1, places.end());
  return options;
}

}  // namespace detkit
