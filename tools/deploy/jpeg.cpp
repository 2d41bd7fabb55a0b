#include <csetjmp>
// clang-format off: jpeglib.h needs the types of cstdio.
#include <cstdio>
#include <jpeglib.h>
// clang-format on

#include "jpeg_png.hpp"

namespace detkit {
namespace {

constexpr size_t kExifMark = 6;  // the bytes "Exif\0\0" before the TIFF file

// libjpeg ends at an error by on_error, which jumps to the setjmp of the last step. A step is a
// function without objects that have destructors, because the jump would not call them.
struct Reader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  std::jmp_buf jump;

  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { jpeg_destroy_decompress(&info); }
};

void on_error(j_common_ptr info) { std::longjmp(static_cast<Reader*>(info->client_data)->jump, 1); }

// OpenCV decodes in spite of warnings, too.
void on_warning(j_common_ptr, int) {}

// Reads the header, and all scans if they are progressive.
bool start(Reader* reader, const std::string& bytes) {
  jpeg_decompress_struct* info = &reader->info;
  info->err = jpeg_std_error(&reader->errors);
  info->client_data = reader;
  reader->errors.error_exit = on_error;
  reader->errors.emit_message = on_warning;
  if (setjmp(reader->jump)) return false;
  jpeg_create_decompress(info);
  // Older versions of libjpeg declare this argument without const.
  auto* begin = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  jpeg_mem_src(info, begin, static_cast<unsigned long>(bytes.size()));
  jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(info, TRUE);
  info->out_color_space = info->num_components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(info);
  return true;
}

bool read_row(Reader* reader, uint8_t* row) {
  if (setjmp(reader->jump)) return false;
  jpeg_read_scanlines(&reader->info, &row, 1);
  return true;
}

// Converts a row as OpenCV does. Adobe's files, which are the usual ones, store inverted inks.
void cmyk_to_rgb(const std::vector<uint8_t>& inks, uint8_t* row) {
  for (size_t i = 0; i < inks.size(); i += 4, row += 3) {
    const int black = inks[i + 3];
    for (size_t channel = 0; channel < 3; ++channel) {
      row[channel] = uint8_t(black - (((255 - inks[i + channel]) * black) >> 8));
    }
  }
}

[[noreturn]] void fail(const std::string& path, Reader* reader) {
  char message[JMSG_LENGTH_MAX];
  reader->errors.format_message(reinterpret_cast<j_common_ptr>(&reader->info), message);
  throw Error(path + ": expected a JPEG, found one that libjpeg cannot decode: " + message);
}

}  // namespace

Decoded read_jpeg(const std::string& path, const std::string& bytes) {
  Reader reader;
  if (!start(&reader, bytes)) fail(path, &reader);
  const jpeg_decompress_struct& info = reader.info;
  Decoded out;
  // OpenCV reads the first segment of this kind alone, whatever it is.
  if (info.marker_list && info.marker_list->data_length > kExifMark) {
    const auto* data = reinterpret_cast<const char*>(info.marker_list->data);
    out.exif.assign(data + kExifMark, data + info.marker_list->data_length);
  }
  Picture& picture = out.picture;
  picture.height = int(info.output_height);
  picture.width = int(info.output_width);
  const size_t width = info.output_width;
  picture.rgb.resize(3 * width * info.output_height);
  std::vector<uint8_t> inks(info.out_color_space == JCS_CMYK ? 4 * width : 0);
  for (size_t y = 0; y < info.output_height; ++y) {
    uint8_t* row = picture.rgb.data() + 3 * width * y;
    if (!read_row(&reader, inks.empty() ? row : inks.data())) fail(path, &reader);
    cmyk_to_rgb(inks, row);
  }
  return out;
}

}  // namespace detkit
