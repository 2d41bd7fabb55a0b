#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <new>

#include "codec.hpp"
#include "jpeg_png.hpp"

namespace detkit {
namespace {

// libpng ends at an error by on_error, which jumps to the setjmp of the last step. A step is a
// function without objects that have destructors, because the jump would not call them.
struct Reader {
  png_structp png = nullptr;
  png_infop info = nullptr, end = nullptr;
  const char* bytes = nullptr;
  size_t left = 0;
  char message[200] = "";

  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png, &info, &end); }
};

void on_error(png_structp png, png_const_charp message) {
  auto* reader = static_cast<Reader*>(png_get_error_ptr(png));
  std::snprintf(reader->message, sizeof reader->message, "%s", message);
  png_longjmp(png, 1);
}

// OpenCV decodes in spite of warnings, too.
void on_warning(png_structp, png_const_charp) {}

void take_bytes(png_structp png, png_bytep out, size_t count) {
  auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (count > reader->left) png_error(png, "the file ends too early");
  std::memcpy(out, reader->bytes, count);
  reader->bytes += count;
  reader->left -= count;
}

// Reads the chunks before the pixels, and asks for RGB of 8 bits: the upper ones of 16, and without
// alpha.
bool start(Reader* reader) {
  if (setjmp(png_jmpbuf(reader->png))) return false;
  png_set_read_fn(reader->png, reader, take_bytes);
  png_read_info(reader->png, reader->info);
  png_set_strip_16(reader->png);
  png_set_strip_alpha(reader->png);
  if (png_get_color_type(reader->png, reader->info) == PNG_COLOR_TYPE_PALETTE) {
    png_set_palette_to_rgb(reader->png);
  } else {
    png_set_expand_gray_1_2_4_to_8(reader->png);
    png_set_gray_to_rgb(reader->png);
  }
  png_set_interlace_handling(reader->png);
  png_read_update_info(reader->png, reader->info);
  return true;
}

// Reads the pixels and the chunks behind them. Each pass of an interlaced image visits all rows.
bool read_rows(Reader* reader, uint8_t* rgb, size_t stride, size_t height, int passes) {
  if (setjmp(png_jmpbuf(reader->png))) return false;
  for (int pass = 0; pass < passes; ++pass) {
    for (size_t y = 0; y < height; ++y) png_read_row(reader->png, rgb + stride * y, nullptr);
  }
  png_read_end(reader->png, reader->end);
  return true;
}

[[noreturn]] void fail(const std::string& path, const std::string& why) {
  throw Error(path + ": expected a PNG, found one that libpng cannot decode: " + why);
}

std::string exif_of(const Reader& reader) {
#ifdef PNG_eXIf_SUPPORTED
  for (png_infop info : {reader.info, reader.end}) {
    png_uint_32 size = 0;
    png_bytep data = nullptr;
    if (png_get_eXIf_1(reader.png, info, &size, &data)) return {data, data + size};
  }
#endif
  return {};
}

}  // namespace

Decoded read_png(const std::string& path, const std::string& bytes) {
  Reader reader;
  reader.bytes = bytes.data();
  reader.left = bytes.size();
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (!reader.png) throw std::bad_alloc();
  reader.info = png_create_info_struct(reader.png);
  reader.end = png_create_info_struct(reader.png);
  if (!reader.info || !reader.end) throw std::bad_alloc();
  if (!start(&reader)) fail(path, reader.message);
  Decoded out;
  const size_t height = png_get_image_height(reader.png, reader.info);
  const size_t stride = 3 * size_t(png_get_image_width(reader.png, reader.info));
  if (png_get_rowbytes(reader.png, reader.info) != stride) fail(path, "its rows are not RGB");
  out.picture.height = int(height);
  out.picture.width = int(stride / 3);
  out.picture.rgb.resize(stride * height);
  const bool interlaced = png_get_interlace_type(reader.png, reader.info) != PNG_INTERLACE_NONE;
  const int passes = interlaced ? PNG_INTERLACE_ADAM7_PASSES : 1;
  if (!read_rows(&reader, out.picture.rgb.data(), stride, height, passes)) {
    fail(path, reader.message);
  }
  out.exif = exif_of(reader);
  return out;
}

void write_png(const std::string& path, const Picture& picture) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = png_uint_32(picture.width);
  image.height = png_uint_32(picture.height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  if (!png_image_write_to_memory(&image, bytes.data(), &size, 0, picture.rgb.data(), 0, nullptr)) {
    throw Error(path + ": cannot be written: " + image.message);
  }
  write_bytes(path, bytes.data(), size);
}

}  // namespace detkit
