// OpenCV reads and writes the images.
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "codec.hpp"

namespace detkit {

Picture decode_by_library(const std::string& path, const std::string& bytes) {
  cv::Mat image;
  try {
    auto* data = const_cast<char*>(bytes.data());
    image = cv::imdecode(cv::Mat(1, int(bytes.size()), CV_8UC1, data), cv::IMREAD_COLOR);
  } catch (const cv::Exception& error) {
    throw Error(path + ": OpenCV cannot decode it: " + error.what());
  }
  if (image.empty()) {
    throw Error(path + ": expected an image, found bytes that OpenCV cannot decode");
  }
  cv::cvtColor(image, image, cv::COLOR_BGR2RGB);
  return {{image.datastart, image.dataend}, image.rows, image.cols};
}

const char* picture_suffix() { return ".png"; }

void write_picture(const std::string& path, const Picture& picture) {
  auto* pixels = const_cast<uint8_t*>(picture.rgb.data());
  cv::Mat bgr;
  cv::cvtColor(cv::Mat(picture.height, picture.width, CV_8UC3, pixels), bgr, cv::COLOR_RGB2BGR);
  std::vector<uint8_t> png;
  if (!cv::imencode(picture_suffix(), bgr, png)) throw Error(path + ": OpenCV cannot encode it");
  write_bytes(path, png.data(), png.size());
}

}  // namespace detkit
