// Without a library, images are PPMs.
#include <cerrno>
#include <cstring>
#include <fstream>

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
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << picture.width << " " << picture.height << "\n255\n";
  file.write(reinterpret_cast<const char*>(picture.rgb.data()),
             std::streamsize(picture.rgb.size()));
  file.close();
  if (!file) throw Error(path + ": cannot be written: " + std::strerror(errno));
}

}  // namespace detkit
