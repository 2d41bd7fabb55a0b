// The parts of tools/deploy that know no MXNet, one at a time, for test_deploy_parts.py:
//
//   deploy_parts json FILE                         the value, written again; exit 1 if it is none
//   deploy_parts quoted FILE                       the bytes as a string of JSON
//   deploy_parts sha256 FILE
//   deploy_parts model FOLDER                      model.json is read; exit 1 if it is refused
//   deploy_parts network FOLDER                    the graph and parameters as well
//   deploy_parts resize LIKE H W HEIGHT WIDTH FILE raw RGB in, (3, HEIGHT, WIDTH) float32 out
//   deploy_parts size LIKE SHORT LONG H W          what the image is resized to
//   deploy_parts keypoints COUNT SIDE H W FILE     float32 box and heatmaps in, keypoints out
//   deploy_parts draw H W X Y ...                  these points connected, raw RGB out
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "draw.hpp"
#include "graph.hpp"
#include "json.hpp"
#include "keypoints.hpp"
#include "model.hpp"
#include "resize.hpp"
#include "sha256.hpp"

using detkit::Json;

// Stands for mask.cpp, which needs a kernel: the detections that are drawn have no masks.
std::vector<float> detkit::paste_mask(const Detection&, int, int) { return {}; }

namespace {

std::string contents(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string write(const Json& value) {
  std::string out;
  switch (value.kind) {
    case Json::Kind::null:
      return "null";
    case Json::Kind::boolean:
      return value.boolean ? "true" : "false";
    case Json::Kind::number:
      char text[40];
      std::snprintf(text, sizeof text, "%.17g", value.number);
      return text;
    case Json::Kind::string:
      return detkit::quoted(value.string);
    case Json::Kind::array:
      for (const Json& item : value.items) out += (out.empty() ? "" : ",") + write(item);
      return "[" + out + "]";
    case Json::Kind::object:
      for (const auto& [key, member] : value.members) {
        out += (out.empty() ? "" : ",") + detkit::quoted(key) + ":" + write(member);
      }
      return "{" + out + "}";
  }
  return out;
}

}  // namespace

int main(int count, char** words) {
  const std::string what = words[1];
  const auto like = [&] { return detkit::Like(std::atoi(words[2])); };
  const auto number = [&](int i) { return std::atoi(words[i]); };
  try {
    if (what == "json") {
      std::puts(write(Json::parse(contents(words[2]))).c_str());
    } else if (what == "quoted") {
      std::puts(detkit::quoted(contents(words[2])).c_str());
    } else if (what == "model" || what == "network") {
      const detkit::Model model = detkit::read_model(words[2]);
      if (what == "network") {
        detkit::check_network(model, model.read(detkit::kSymbolFile),
                              model.read(detkit::kParameterFile));
      }
    } else if (what == "sha256") {
      std::puts(detkit::sha256(contents(words[2])).c_str());
    } else if (what == "size") {
      const detkit::Resize rule{number(3), number(4), like()};
      const detkit::Size size = detkit::resized(rule, {number(5), number(6)});
      std::printf("%d %d\n", size.height, size.width);
    } else if (what == "keypoints") {
      const std::string bytes = contents(words[6]);
      std::vector<float> values(bytes.size() / sizeof(float));
      std::memcpy(values.data(), bytes.data(), bytes.size());
      const auto points =
          detkit::decode_keypoints(values.data() + 4, size_t(number(2)), size_t(number(3)),
                                   values.data(), {number(4), number(5)});
      std::fwrite(points.data(), sizeof(detkit::Keypoint), points.size(), stdout);
    } else if (what == "draw") {
      detkit::Picture picture;
      picture.height = number(2), picture.width = number(3);
      picture.rgb.resize(size_t(3) * size_t(picture.height) * size_t(picture.width));
      detkit::Detection found{0, 0, 0, 0, 1, 0, 0, {}, {}};
      detkit::Limbs skeleton;
      for (int i = 4; i + 1 < count; i += 2) {
        found.keypoints.push_back({float(std::atof(words[i])), float(std::atof(words[i + 1])), 1});
        if (i > 4) skeleton.emplace_back(i / 2 - 3, i / 2 - 2);
      }
      detkit::draw({found}, {"cat"}, skeleton, &picture);
      std::fwrite(picture.rgb.data(), 1, picture.rgb.size(), stdout);
    } else {
      const std::string pixels = contents(words[7]);
      const detkit::Image image{reinterpret_cast<const uint8_t*>(pixels.data()), number(3),
                                number(4)};
      const detkit::Size size{number(5), number(6)};
      std::vector<float> planes(size_t(3) * size_t(size.height) * size_t(size.width));
      detkit::resample(image, like(), size, planes.data(), size);
      std::fwrite(planes.data(), sizeof(float), planes.size(), stdout);
    }
  } catch (const detkit::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
