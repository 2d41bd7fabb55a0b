// libjpeg and libpng read the images, and libpng writes them.
#include <utility>

#include "codec.hpp"
#include "image_headers.hpp"
#include "jpeg_png.hpp"
#include "orientation.hpp"

namespace detkit {

Picture decode_by_library(const std::string& path, const std::string& bytes) {
  const Format format = format_of(bytes);
  if (format != Format::jpeg && format != Format::png) {
    throw Error(path +
                ": expected a JPEG, a PNG or a PPM (P6), because this program was built without "
                "OpenCV, found another format; build it with OpenCV, or convert the image");
  }
  Decoded decoded = format == Format::jpeg ? read_jpeg(path, bytes) : read_png(path, bytes);
  return upright(std::move(decoded.picture), orientation_of(decoded.exif));
}

const char* picture_suffix() { return ".png"; }

void write_picture(const std::string& path, const Picture& picture) { write_png(path, picture); }

}  // namespace detkit
