// Without a library, images are PPMs.
#include "codec.hpp"

namespace detkit {

Picture decode_by_library(const std::string& path, const std::string&) {
  throw Error(path +
              ": expected a PPM (P6), because this program was built without a library for images, "
              "found another format; build it with OpenCV, or with libjpeg and libpng, or convert "
              "the image");
}

const char* picture_suffix() { return ".ppm"; }

void write_picture(const std::string& path, const Picture& picture) {
  std::string bytes =
      "P6\n" + std::to_string(picture.width) + " " + std::to_string(picture.height) + "\n255\n";
  bytes.append(picture.rgb.begin(), picture.rgb.end());
  write_bytes(path, bytes.data(), bytes.size());
}

}  // namespace detkit
