#include "image_file.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>

#include "codec.hpp"

namespace detkit {
namespace {

constexpr int kLongestSide = 1 << 16;

std::string read_bytes(const std::string& path) {
  std::error_code error;
  const auto place = std::filesystem::u8path(path);
  const auto status = std::filesystem::status(place, error);
  if (!std::filesystem::exists(status)) {
    if (!error) error = std::make_error_code(std::errc::no_such_file_or_directory);
    throw Error(path + ": " + error.message());
  }
  if (!std::filesystem::is_regular_file(status)) {  // a device may have no end
    const bool is_folder = std::filesystem::is_directory(status);
    throw Error(path + ": expected an image, found " + (is_folder ? "a folder" : "no file"));
  }
  std::ifstream file(place, std::ios::binary);
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

}  // namespace

Picture read_picture(const std::string& path) { return decode_picture(path, read_bytes(path)); }

Picture decode_picture(const std::string& path, const std::string& bytes, size_t most_pixels) {
  if (format_of(bytes) == Format::ppm) return Ppm(path, bytes).read();
  check_header(path, bytes, most_pixels);
  return decode_by_library(path, bytes);
}

void write_bytes(const std::string& path, const void* bytes, size_t size) {
  std::ofstream file(std::filesystem::u8path(path), std::ios::binary);
  file.write(static_cast<const char*>(bytes), std::streamsize(size));
  file.close();
  if (!file) throw Error(path + ": cannot be written: " + std::strerror(errno));
}

std::vector<std::string> drawn_paths(const std::vector<std::string>& images,
                                     const std::string& folder) {
  std::vector<std::string> paths;
  std::map<std::string, std::string> taken;
  for (const std::string& image : images) {
    const std::string name = std::filesystem::u8path(image).stem().u8string() + picture_suffix();
    const auto [other, is_new] = taken.emplace(name, image);
    if (!is_new) {
      throw Error(image + ": expected another name than " + other->second +
                  ", because both are drawn into " + name + "; draw one after the other");
    }
    paths.push_back((std::filesystem::u8path(folder) / std::filesystem::u8path(name)).u8string());
  }
  return paths;
}

}  // namespace detkit
