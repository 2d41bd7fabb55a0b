#include "parameters.hpp"

#include <iterator>

#include "detkit.hpp"

namespace detkit {
namespace {

constexpr uint64_t kListMagic = 0x112;
constexpr uint32_t kArrayMagics[] = {0xF993FAC9, 0xF993FACA};  // without and with numpy's shapes
constexpr int kMostAxes = 8;
constexpr int kCpu = 1;
// By MXNet's numbers: float32, float64, float16, uint8, int32, int8, int64 and bool.
constexpr int kTypeSizes[] = {4, 8, 2, 1, 4, 1, 8, 1};
constexpr int kBfloat16 = 12;

// Returns the bytes of one number, 0 for an unknown type.
int type_size(int type) {
  if (type == kBfloat16) return 2;
  return type >= 0 && type < int(std::size(kTypeSizes)) ? kTypeSizes[type] : 0;
}

class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}

  std::map<std::string, Parameter> file() {
    if (bytes_.size() < 16 || number(8) != kListMagic || number(8) != 0) {
      throw Error("expected a file of mx.nd.save, found one that begins differently");
    }
    std::vector<Parameter> arrays;
    for (uint64_t i = count(); i > 0; --i) arrays.push_back(array());
    const uint64_t names = count();
    if (names != arrays.size()) {
      throw Error("expected one name for each array, found " + std::to_string(arrays.size()) +
                  " arrays and " + std::to_string(names) + " names");
    }
    std::map<std::string, Parameter> out;
    for (Parameter& array : arrays) {
      const uint64_t length = count();
      const std::string name = bytes_.substr(at_, length);
      at_ += length;
      if (!out.emplace(name, std::move(array)).second) {
        throw Error("expected each name once, found '" + name + "' twice");
      }
    }
    if (left() > 0) {
      throw Error("damaged: expected the end after the last name, found " + std::to_string(left()) +
                  " more bytes");
    }
    return out;
  }

 private:
  size_t left() const { return bytes_.size() - at_; }

  void require(uint64_t count) const {
    if (count > left()) {
      throw Error("damaged or cut short: expected at least " + std::to_string(count) +
                  " more bytes, found " + std::to_string(left()));
    }
  }

  // Reads a little-endian number of `size` bytes.
  uint64_t number(size_t size) {
    require(size);
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t(uint8_t(bytes_[at_ + i])) << (8 * i);
    at_ += size;
    return value;
  }

  // Reads the number of items that follow, each of which has at least a byte.
  uint64_t count() {
    const uint64_t count = number(8);
    require(count);
    return count;
  }

  Parameter array() {
    const uint64_t magic = number(4);
    if ((magic != kArrayMagics[0] && magic != kArrayMagics[1]) || number(4) != 0) {
      throw Error("damaged: expected a dense array of MXNet 1.9.1, found another");
    }
    const uint64_t axes = number(4);
    if (axes < 1 || axes > kMostAxes) {
      throw Error("damaged: expected 1 to " + std::to_string(kMostAxes) +
                  " axes, found an array of " + std::to_string(axes));
    }
    Parameter out;
    uint64_t items = 1;
    for (uint64_t i = 0; i < axes; ++i) {
      const uint64_t side = number(8);
      if (side < 1 || side > bytes_.size() / items) {
        throw Error("damaged: expected a shape that the file has numbers for, found a side of " +
                    std::to_string(side));
      }
      items *= side;
      out.shape.push_back(int64_t(side));
    }
    const uint64_t device = number(4);
    number(4);
    const uint64_t type = number(4);
    out.type = int(uint32_t(type));
    const int size = type_size(out.type);
    if (device != kCpu || size == 0) {
      throw Error("damaged: expected a known type, found an array of type " + std::to_string(type) +
                  " on a device of type " + std::to_string(device));
    }
    require(items * uint64_t(size));
    at_ += items * uint64_t(size);
    return out;
  }

  const std::string& bytes_;
  size_t at_ = 0;
};

}  // namespace

std::map<std::string, Parameter> read_parameters(const std::string& bytes) {
  return Reader(bytes).file();
}

}  // namespace detkit
