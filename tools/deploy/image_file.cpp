#include "image_file.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#ifdef DETKIT_OPENCV
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#endif

namespace detkit {
namespace {

constexpr int kLongestSide = 1 << 16;

std::string read_bytes(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    throw Error(path + ": " + std::strerror(error.value() ? error.value() : ENOENT));
  }
  if (!std::filesystem::is_regular_file(status)) {  // a device may have no end
    const bool is_folder = std::filesystem::is_directory(status);
    throw Error(path + ": expected an image, found " + (is_folder ? "a folder" : "no file"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(path + ": " + std::strerror(errno));
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (bytes.empty()) throw Error(path + ": expected an image, found an empty file");
  return bytes;
}

// A reader of a binary PPM: P6, width, height and 255, separated by white space or comments, one
// white space, and the pixels.
class Ppm {
 public:
  Ppm(const std::string& path, const std::string& bytes) : path_(path), bytes_(bytes) {}

  Picture read() {
    Picture picture;
    picture.width = number("width");
    picture.height = number("height");
    if (number("largest value") != 255) fail("expected the largest value 255, found another");
    if (at_ == bytes_.size() || !std::isspace(uint8_t(bytes_[at_++]))) {
      fail("expected white space after the header, found none");
    }
    const size_t size = 3 * size_t(picture.height) * size_t(picture.width);
    if (bytes_.size() - at_ != size) {
      fail("expected " + std::to_string(size) + " bytes of pixels, found " +
           std::to_string(bytes_.size() - at_));
    }
    picture.rgb.assign(bytes_.begin() + std::ptrdiff_t(at_), bytes_.end());
    return picture;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { throw Error(path_ + ": PPM: " + why); }

  int number(const char* what) {
    const size_t before = at_;
    while (at_ < bytes_.size() && (std::isspace(uint8_t(bytes_[at_])) || bytes_[at_] == '#')) {
      at_ = bytes_[at_] == '#' ? std::min(bytes_.find('\n', at_), bytes_.size()) : at_ + 1;
    }
    int value = 0;
    const size_t begin = at_;
    for (; at_ < bytes_.size() && std::isdigit(uint8_t(bytes_[at_])); ++at_) {
      value = std::min(10 * value + (bytes_[at_] - '0'), kLongestSide + 1);
    }
    if (begin == before || begin == at_ || value < 1 || value > kLongestSide) {
      fail(std::string(what) + ": expected a number from 1 to " + std::to_string(kLongestSide) +
           ", found another or none");
    }
    return value;
  }

  const std::string &path_, &bytes_;
  size_t at_ = 2;
};

#ifdef DETKIT_OPENCV

// Tells whether a JPEG has its end, because OpenCV fills a missing part with grey. The walk from
// marker to marker passes a thumbnail, which has an end of its own.
bool jpeg_is_whole(const std::string& bytes) {
  for (size_t at = 2;
       (at = bytes.find('\xff', at)) + 1 < bytes.size() && at != std::string::npos;) {
    const uint8_t marker = uint8_t(bytes[at + 1]);
    if (marker == 0xd9) return true;
    if (marker == 0xff) {
      at += 1;
    } else if (marker == 0 || (marker >= 0xd0 && marker <= 0xd7) || at + 3 >= bytes.size()) {
      at += 2;
    } else {
      at += 2 + (size_t(uint8_t(bytes[at + 2])) << 8 | uint8_t(bytes[at + 3]));
    }
  }
  return false;
}

Picture decode(const std::string& path, const std::string& bytes) {
  const bool jpeg = bytes.compare(0, 2, "\xff\xd8") == 0, png = bytes.compare(1, 3, "PNG") == 0;
  if ((jpeg && !jpeg_is_whole(bytes)) || (png && bytes.find("IEND") == std::string::npos)) {
    throw Error(path + ": expected a whole image, found one truncated after " +
                std::to_string(bytes.size()) + " bytes");
  }
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

#else

Picture decode(const std::string& path, const std::string&) {
  throw Error(path +
              ": expected a PPM (P6), because this program was built without OpenCV, found " +
              "another format; build it with OpenCV, or convert the image");
}

#endif

}  // namespace

Picture read_picture(const std::string& path) { return decode_picture(path, read_bytes(path)); }

Picture decode_picture(const std::string& path, const std::string& bytes) {
  return bytes.compare(0, 2, "P6") == 0 ? Ppm(path, bytes).read() : decode(path, bytes);
}

#ifdef DETKIT_OPENCV

const char* picture_suffix() { return ".png"; }

void write_picture(const std::string& path, const Picture& picture) {
  auto* pixels = const_cast<uint8_t*>(picture.rgb.data());
  cv::Mat bgr;
  cv::cvtColor(cv::Mat(picture.height, picture.width, CV_8UC3, pixels), bgr, cv::COLOR_RGB2BGR);
  if (!cv::imwrite(path, bgr)) throw Error(path + ": cannot be written");
}

#else

const char* picture_suffix() { return ".ppm"; }

void write_picture(const std::string& path, const Picture& picture) {
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << picture.width << " " << picture.height << "\n255\n";
  file.write(reinterpret_cast<const char*>(picture.rgb.data()),
             std::streamsize(picture.rgb.size()));
  file.close();
  if (!file) throw Error(path + ": cannot be written: " + std::strerror(errno));
}

#endif

}  // namespace detkit
