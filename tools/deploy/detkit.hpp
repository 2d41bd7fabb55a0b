// detkit's exported detectors in C++: the folder that tools/export.py writes in, objects out.
//
//   detkit::Detector detector("exported");
//   for (const detkit::Detection& found : detector.detect(rgb, height, width)) { ... }
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace detkit {

// What went wrong, the file or image concerned and what to do; MXNet's own message where it failed.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// height rows of width pixels, each R G B, without gaps. A view: nothing is copied or kept.
struct Image {
  const uint8_t* rgb;
  int height, width;
};

struct Detection {
  float x1, y1, x2, y2;           // pixels of the image as it was given, continuous coordinates
  float score;                    // in [0, 1]
  int label;                      // index into Detector::classes()
  int mask_size = 0;              // M, 0 from a detector without masks
  std::vector<float> mask_probs;  // (M, M): the probability of the object in each cell of its box
};

// The mask of a detection in an image of its size: (height, width) probabilities, 0 outside of the
// box grown by a cell. Empty for a detection without a mask.
std::vector<float> paste_mask(const Detection& detection, int height, int width);

// A network on the CPU and what an image passes before it. Several may be used at once, each by one
// thread; they may be made and destroyed in any thread.
class Detector {
 public:
  // Throws Error for a folder that is incomplete, damaged or of another version, and for whatever
  // MXNet cannot load.
  explicit Detector(const std::string& folder);
  ~Detector();
  Detector(Detector&&) noexcept;
  Detector& operator=(Detector&&) noexcept;

  // The objects of an image, best first. Throws Error.
  std::vector<Detection> detect(const uint8_t* rgb, int height, int width);

  // Those of each of several images of any sizes, which go through the network as one batch.
  std::vector<std::vector<Detection>> detect(const std::vector<Image>& images);

  // The names of the labels.
  const std::vector<std::string>& classes() const;

  // What this processor does worse than the folder expects, in words; mostly empty.
  std::string warning() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace detkit
