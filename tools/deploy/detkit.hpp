// detkit's exported detectors in C++: a folder of detkit export, an image in, objects out.
//
//   detkit::Detector detector("exported");
//   for (const detkit::Detection& found : detector.detect(rgb, height, width)) { ... }
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace detkit {

// The file or image concerned, what is wrong and what to do, with the message of the back end
// (MXNet, ONNX Runtime or OpenVINO) if it failed.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A view of height rows of width pixels, each R G B, without gaps. Nothing is copied or kept.
struct Image {
  const uint8_t* rgb;
  int height, width;
};

struct Keypoint {
  float x, y;   // pixels of the given image
  float score;  // in [0, 1]
};

using Limbs = std::vector<std::pair<int, int>>;  // pairs of keypoints that a drawing connects

struct Detection {
  float x1, y1, x2, y2;             // pixels of the given image, continuous coordinates
  float score;                      // in [0, 1]
  int label;                        // index into Detector::classes()
  int mask_size = 0;                // M; 0 from a detector without masks
  std::vector<float> mask_probs;    // (M, M): the probability of the object in each cell of its box
  std::vector<Keypoint> keypoints;  // empty from a detector without keypoints
};

// Returns the mask of a detection in its image: (height, width) probabilities, 0 outside of the
// box grown by a cell; nothing for a detection without a mask.
std::vector<float> paste_mask(const Detection& detection, int height, int width);

// A network on the CPU and what an image passes before it. Several may be used at once, each by one
// thread; they may be made and destroyed in any thread.
class Detector {
 public:
  // `folder` is UTF-8 on Windows. Throws Error if the folder is incomplete, damaged or of another
  // version, or if the back end cannot load it.
  explicit Detector(const std::string& folder);
  ~Detector();
  Detector(Detector&&) noexcept;
  Detector& operator=(Detector&&) noexcept;

  // Returns the objects of an image, best first. Throws Error.
  std::vector<Detection> detect(const uint8_t* rgb, int height, int width);

  // Returns the objects of each image. The images, of any sizes, go through the network as one
  // batch.
  std::vector<std::vector<Detection>> detect(const std::vector<Image>& images);

  // Returns the least score of the detections of a label that were chosen to be shown, by detkit
  // test --threshold; nothing if none was chosen. detect() returns the others, too.
  std::optional<double> threshold(int label) const;

  // Returns the names of the labels.
  const std::vector<std::string>& classes() const;

  // Returns the skeleton of the keypoints, nothing for a detector without keypoints.
  const Limbs& skeleton() const;

  // Returns a sentence if this processor computes less exactly than the folder expects, else "".
  std::string warning() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace detkit
