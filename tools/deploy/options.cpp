#include "options.hpp"

#include <cstdlib>

#include "detkit.hpp"

namespace detkit {

const char kUsage[] = R"(detect DIR IMAGE... [options]

Detects objects with the exported detector in DIR and prints a line of JSON for each image.

  --score S      leave out detections below S (0.5)
  --draw OUTDIR  draw them into copies of the images, in OUTDIR, instead of printing
  --json         print, too, when drawing
  --batch N      put N images through the network at once (1)
  --threads N    use N detectors, each in a thread of its own (1)
  --repeat N     detect N times after a first time, and print the median of the milliseconds
  --help

OMP_NUM_THREADS: how many cores one operator uses; MXNet by itself takes half of them.
MXNET_CPU_WORKER_NTHREADS: how many operators run at once; with --threads N set it to N.
)";

namespace {

double number(const std::string& option, const std::string& word, double least, double most) {
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  if (word.empty() || *end != '\0' || !(value >= least && value <= most)) {
    throw Error(option + " " + word + ": expected a number from " + std::to_string(int(least)) +
                " to " + std::to_string(int(most)));
  }
  return value;
}

int count(const std::string& option, const std::string& word) {
  const double value = number(option, word, 1, 1 << 20);
  if (value != int(value)) throw Error(option + " " + word + ": expected a whole number");
  return int(value);
}

}  // namespace

Options parse_options(const std::vector<std::string>& words) {
  Options options;
  std::vector<std::string> places;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) throw Error(word + ": expected a value after it");
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
    } else if (word == "--threads") {
      options.threads = count(word, value());
    } else if (word.size() > 1 && word[0] == '-') {
      throw Error(word + ": no such option; --help lists them");
    } else {
      places.push_back(word);
    }
  }
  if (options.help) return options;
  if (places.size() < 2) throw Error("expected the folder of a detector and images; see --help");
  options.folder = places.front();
  options.images.assign(places.begin() + 1, places.end());
  return options;
}

}  // namespace detkit
