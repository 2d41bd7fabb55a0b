#include <algorithm>
#include <cmath>

#include "detkit.hpp"
#include "keypoints.hpp"
#include "model.hpp"
#include "predictor.hpp"

namespace detkit {
namespace {

constexpr size_t kMostValues = UINT32_MAX;  // of an array in MXNet's C interface
constexpr size_t kMostInputs = 3;           // images, sizes and scales

int round_up(int side, int multiple) { return (side + multiple - 1) / multiple * multiple; }

void check_image(const Image& image, size_t index) {
  const std::string name = "images[" + std::to_string(index) + "]";
  if (image.height < 1 || image.width < 1) {
    throw Error(name + ": expected pixels, found " + std::to_string(image.height) + " x " +
                std::to_string(image.width));
  }
  if (!image.rgb) throw Error(name + ": expected pixels, found a null pointer");
}

// The rows of the outputs that belong to one image.
struct Rows {
  const float *boxes, *scores, *labels;
  const float* cells;             // of the masks or heatmaps; nullptr for a network without either
  size_t count, side, keypoints;  // side: of a mask or heatmap. keypoints: 0 for masks
};

void check_outputs(const std::vector<Output>& outputs, size_t batch, const std::string& where) {
  const auto dimensions = [&](size_t i) { return outputs[i].shape.size(); };
  bool fine = (outputs.size() == 3 || outputs.size() == 4) && dimensions(0) == 3 &&
              outputs[0].shape[2] == 4 && dimensions(1) == 2 && dimensions(2) == 2;
  if (fine && outputs.size() == 4) {
    const size_t last = dimensions(3) - 1;
    fine = (dimensions(3) == kMaskAxes || dimensions(3) == kHeatmapAxes) &&
           outputs[3].shape[last] == outputs[3].shape[last - 1];
  }
  for (size_t i = 0; fine && i < outputs.size(); ++i) {
    fine = outputs[i].shape[0] == batch && outputs[i].shape[1] == outputs[0].shape[1];
  }
  if (!fine) {
    throw Error(where + ": outputs: expected boxes (B, D, 4), scores (B, D), labels (B, D) and " +
                "perhaps masks (B, D, M, M) or heatmaps (B, D, J, M, M), found others; export the "
                "detector again");
  }
}

Rows rows_of(const std::vector<Output>& outputs, size_t image) {
  const size_t count = outputs[0].shape[1];
  const auto begin = [&](size_t i, size_t size) {
    return &outputs[i].values[image * count * size];
  };
  Rows rows{begin(0, 4), begin(1, 1), begin(2, 1), nullptr, count, 0, 0};
  if (outputs.size() == 4) {
    rows.side = outputs[3].shape.back();
    rows.keypoints = outputs[3].shape.size() == kHeatmapAxes ? outputs[3].shape[2] : 0;
    rows.cells = begin(3, std::max(rows.keypoints, size_t(1)) * rows.side * rows.side);
  }
  return rows;
}

// Reads a model whose inputs this library can make.
Model read_own(const std::string& folder) {
  Model model = read_model(folder);
  if (model.inputs.size() <= kMostInputs) return model;
  throw Error(model.path("model.json") +
              ": inputs has proposals, which this library cannot pass on: the detector makes none "
              "of its own, as a Fast R-CNN; use detkit.load_exported in Python, or ONNX Runtime");
}

}  // namespace

struct Detector::Parts {
  Model model;
  Predictor predictor;

  explicit Parts(const std::string& folder) : model(read_own(folder)), predictor(model) {}

  // Runs the network with images (B, 3, H, W), sizes (B, 2), height and width, and scales (B, 2), x
  // and y: resized size / original size, as far as it has such inputs.
  std::vector<Output> run(const std::vector<float>& images, const std::vector<float>& sizes,
                          const std::vector<float>& scales, Size canvas) {
    const uint32_t batch = uint32_t(sizes.size() / 2);
    std::vector<Input> inputs{
        {"images", {batch, 3, uint32_t(canvas.height), uint32_t(canvas.width)}, &images},
        {"sizes", {batch, 2}, &sizes},
        {"scales", {batch, 2}, &scales}};
    inputs.resize(model.inputs.size());
    return predictor.run(inputs);
  }

  // Throws Error for logits in which no keypoint can be found.
  void check_heatmaps(const float* begin, const float* end) const {
    if (std::all_of(begin, end, [](float logit) { return std::isfinite(logit); })) return;
    throw Error(model.path("model.json") +
                ": outputs: expected finite heatmaps of the network, found others; its weights are "
                "damaged, export the detector again");
  }

  // Throws Error for numbers that are no detection: an infinite one has no pixel, and no JSON.
  void check_row(const float* box, float score, float label) const {
    const std::string where = model.path("model.json");
    if (!std::all_of(box, box + 4, [](float side) { return std::isfinite(side); }) ||
        !std::isfinite(score)) {
      throw Error(where + ": outputs: expected finite boxes and scores of the network, found " +
                  std::to_string(box[0]) + ", " + std::to_string(box[1]) + ", " +
                  std::to_string(box[2]) + ", " + std::to_string(box[3]) + " and " +
                  std::to_string(score) + "; its weights are damaged, export the detector again");
    }
    const float last = float(model.classes.size()) - 1 - float(model.first_label);
    if (!(label >= -float(model.first_label) && label <= last)) {
      throw Error(where + ": classes: expected a name for the label " +
                  std::to_string((long long)(std::clamp(label, -1e9f, 1e9f)) + model.first_label) +
                  " of the network, found " + std::to_string(model.classes.size()) +
                  " names; export it again");
    }
  }

  std::vector<Detection> detections(const Rows& rows, Size input, const Image& image) const {
    // Float32, because Python computes so too.
    const float scale_x = float(input.width) / float(image.width);
    const float scale_y = float(input.height) / float(image.height);
    const size_t cells = rows.side * rows.side * std::max(rows.keypoints, size_t(1));
    std::vector<Detection> found;
    for (size_t i = 0; i < rows.count; ++i) {
      if (!(rows.scores[i] >= 0)) continue;
      const float* box = rows.boxes + 4 * i;
      check_row(box, rows.scores[i], rows.labels[i]);
      Detection one{box[0] / scale_x,
                    box[1] / scale_y,
                    box[2] / scale_x,
                    box[3] / scale_y,
                    rows.scores[i],
                    int(rows.labels[i]) + model.first_label,
                    0,
                    {},
                    {}};
      const float* begin = rows.cells + i * cells;
      if (rows.keypoints > 0) {
        check_heatmaps(begin, begin + cells);
        one.keypoints = decode_keypoints(begin, rows.keypoints, rows.side, box, input);
        for (Keypoint& point : one.keypoints) {
          point.x /= scale_x;
          point.y /= scale_y;
        }
      } else if (rows.cells) {
        one.mask_size = int(rows.side);
        one.mask_probs.assign(begin, begin + cells);
      }
      found.push_back(std::move(one));
    }
    return found;
  }
};

Detector::Detector(const std::string& folder) : parts_(std::make_unique<Parts>(folder)) {}
Detector::~Detector() = default;
Detector::Detector(Detector&&) noexcept = default;
Detector& Detector::operator=(Detector&&) noexcept = default;

const std::vector<std::string>& Detector::classes() const { return parts_->model.classes; }

std::optional<double> Detector::threshold(int label) const {
  const std::vector<double>& scores = parts_->model.thresholds;
  if (scores.empty()) return std::nullopt;
  return scores.size() == 1 ? scores.front() : scores.at(size_t(label));
}

const Limbs& Detector::skeleton() const { return parts_->model.outputs.skeleton; }

std::string Detector::warning() const { return Predictor::warning(parts_->model); }

std::vector<Detection> Detector::detect(const uint8_t* rgb, int height, int width) {
  return std::move(detect({Image{rgb, height, width}}).front());
}

std::vector<std::vector<Detection>> Detector::detect(const std::vector<Image>& images) {
  if (images.empty()) return {};
  const Model& model = parts_->model;
  std::vector<Size> sizes;
  Size canvas{0, 0};
  for (size_t i = 0; i < images.size(); ++i) {
    check_image(images[i], i);
    const Size size{images[i].height, images[i].width};
    sizes.push_back(model.resize ? resized(*model.resize, size) : size);
    canvas.height = std::max(canvas.height, round_up(sizes.back().height, model.pad_multiple));
    canvas.width = std::max(canvas.width, round_up(sizes.back().width, model.pad_multiple));
  }
  const size_t values = 3 * size_t(canvas.height) * size_t(canvas.width);
  if (values > kMostValues / images.size()) {
    throw Error("expected at most " + std::to_string(kMostValues) + " values in a batch, found " +
                std::to_string(images.size()) + " images of " + std::to_string(canvas.height) +
                " x " + std::to_string(canvas.width) +
                " pixels; detect fewer or smaller ones at once");
  }
  std::vector<float> pixels(images.size() * values), extents, scales;
  for (size_t i = 0; i < images.size(); ++i) {
    const Like like = model.resize ? model.resize->like : Like::opencv;
    resample(images[i], like, sizes[i], pixels.data() + i * values, canvas);
    extents.push_back(float(sizes[i].height));
    extents.push_back(float(sizes[i].width));
    scales.push_back(float(sizes[i].width) / float(images[i].width));
    scales.push_back(float(sizes[i].height) / float(images[i].height));
  }
  const auto outputs = parts_->run(pixels, extents, scales, canvas);
  check_outputs(outputs, images.size(), model.path("model.json"));
  std::vector<std::vector<Detection>> found;
  for (size_t i = 0; i < images.size(); ++i) {
    found.push_back(parts_->detections(rows_of(outputs, i), sizes[i], images[i]));
  }
  return found;
}

}  // namespace detkit
