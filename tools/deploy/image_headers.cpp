#include "image_headers.hpp"

#include <cstdint>

#include "detkit.hpp"

namespace detkit {
namespace {

// Each scan of a progressive JPEG visits all pixels. Encoders write about 10.
constexpr int kMostScans = 100;
constexpr size_t kPngSignature = 8, kPngHeader = 12;  // where the first chunk and its name begin
constexpr size_t kPngAround = 12;  // bytes of a chunk beside its content: length, name and checksum

struct Header {
  size_t width = 0, height = 0;
  int scans = 0;
  bool whole = false;
};

bool begins(const std::string& bytes, size_t at, const std::string& wanted) {
  return bytes.compare(at, wanted.size(), wanted) == 0;
}

// Returns a big-endian number of `count` bytes. Bytes after the end of the file are 0.
size_t number(const std::string& bytes, size_t at, size_t count) {
  size_t value = 0;
  for (size_t i = at; i < at + count; ++i) {
    value = value << 8 | (i < bytes.size() ? uint8_t(bytes[i]) : 0);
  }
  return value;
}

// Returns whether the byte behind 0xff is a marker that a segment with a length follows, or the end
// of the image. 0, another 0xff, restart markers and TEM are none.
bool has_segment(uint8_t code) {
  return code > 1 && code != 0xff && !(code >= 0xd0 && code <= 0xd7);
}

// SOF0 to SOF15, without DHT, JPG and DAC, which lie between them.
bool is_frame(uint8_t code) {
  return code >= 0xc0 && code <= 0xcf && code != 0xc4 && code != 0xc8 && code != 0xcc;
}

// Reads the segments of a JPEG (ITU T.81, annex B) from marker to marker. It passes a thumbnail,
// which has a size and an end of its own.
Header walk_jpeg(const std::string& bytes) {
  Header header;
  for (size_t at = 2; (at = bytes.find('\xff', at)) < bytes.size() - 1;) {
    const uint8_t code = uint8_t(bytes[at + 1]);
    const size_t segment = at + 2;
    if (!has_segment(code)) {
      at += code == 0xff ? 1 : 2;
      continue;
    }
    header.whole = code == 0xd9;
    if (header.whole || bytes.size() < segment + 2) break;
    const size_t height = number(bytes, segment + 3, 2), width = number(bytes, segment + 5, 2);
    if (is_frame(code) && width * height >= header.width * header.height) {
      header.width = width;
      header.height = height;
    }
    header.scans += code == 0xda;
    at = segment + number(bytes, segment, 2);
  }
  return header;
}

// Reads the header of a PNG, and walks from chunk to chunk up to its end. A chunk that does not lie
// within the file could make libpng take memory of its length.
Header walk_png(const std::string& bytes) {
  Header header;
  header.width = number(bytes, kPngHeader + 4, 4);
  header.height = number(bytes, kPngHeader + 8, 4);
  for (size_t at = kPngSignature; at + kPngAround <= bytes.size();) {
    const size_t length = number(bytes, at, 4);
    if (length > bytes.size() - at - kPngAround) break;
    header.whole = begins(bytes, at + 4, "IEND");
    if (header.whole) break;
    at += kPngAround + length;
  }
  return header;
}

}  // namespace

Format format_of(const std::string& bytes) {
  if (begins(bytes, 0, "P6")) return Format::ppm;
  if (begins(bytes, 0, "\xff\xd8\xff")) return Format::jpeg;
  if (begins(bytes, 0, "\x89PNG\r\n\x1a\n")) return Format::png;
  return Format::other;
}

void check_header(const std::string& path, const std::string& bytes, size_t most_pixels) {
  const Format format = format_of(bytes);
  if (format != Format::jpeg && format != Format::png) return;
  const Header header = format == Format::jpeg ? walk_jpeg(bytes) : walk_png(bytes);
  if (!header.whole) {
    throw Error(path + ": expected a whole image, found a " +
                (format == Format::jpeg ? "JPEG" : "PNG") + " truncated or damaged, of " +
                std::to_string(bytes.size()) + " bytes");
  }
  if (header.width > 0 && header.height > most_pixels / header.width) {
    throw Error(path + ": expected at most " + std::to_string(most_pixels) + " pixels, found " +
                std::to_string(header.width) + " x " + std::to_string(header.height) +
                " in the header of " + std::to_string(bytes.size()) + " bytes");
  }
  if (header.scans > kMostScans) {
    throw Error(path + ": expected a JPEG of at most " + std::to_string(kMostScans) +
                " scans, found " + std::to_string(header.scans) +
                ", each of which costs as much time as an image");
  }
}

}  // namespace detkit
