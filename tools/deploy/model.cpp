#include "model.hpp"

#include <cmath>
#include <fstream>
#include <iterator>

#include "json.hpp"
#include "sha256.hpp"

namespace detkit {
namespace {

constexpr int kFormat = 1;
constexpr int kLargestNumber = 1 << 20;  // of pixels or classes in model.json

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file ? std::streamoff(file.tellg()) : -1;
  if (size < 0 || size > std::streamoff(1) << 40) {  // a folder opens as well, with a huge size
    throw Error(path + ": expected a readable file, found none; export the detector again");
  }
  std::string bytes(size_t(size), '\0');
  file.seekg(0);
  if (!file.read(bytes.data(), size)) throw Error(path + ": reading it failed");
  return bytes;
}

// Reads members of a JSON object. Throws Error with the place of a wrong one.
class Section {
 public:
  Section(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    expect(object, Json::Kind::object, where_);
  }

  std::string at(const std::string& key) const { return where_ + ": " + key; }

  const Json& get(const std::string& key) const {
    const Json* value = object_.find(key);
    if (!value) throw Error(at(key) + ": expected a value, found none; export the detector again");
    return *value;
  }

  bool has(const std::string& key) const { return object_.find(key) != nullptr; }

  int number(const std::string& key, int least) const {
    const double value = expect(get(key), Json::Kind::number, at(key)).number;
    if (value < least || value > kLargestNumber || value != std::floor(value)) {
      throw Error(at(key) + ": expected a whole number from " + std::to_string(least) + " to " +
                  std::to_string(kLargestNumber) + ", found " + std::to_string(value));
    }
    return int(value);
  }

  // Returns a string, "" for null.
  std::string string(const std::string& key) const {
    const Json& value = get(key);
    if (value.kind == Json::Kind::null) return "";
    return expect(value, Json::Kind::string, at(key)).string;
  }

  const std::vector<Json>& array(const std::string& key) const {
    return expect(get(key), Json::Kind::array, at(key)).items;
  }

  std::vector<std::string> strings(const std::string& key) const {
    std::vector<std::string> out;
    for (const Json& item : array(key)) {
      out.push_back(expect(item, Json::Kind::string, at(key)).string);
    }
    return out;
  }

  static const Json& expect(const Json& value, Json::Kind kind, const std::string& where) {
    if (value.kind == kind) return value;
    throw Error(where + ": expected " + name_of(kind) + ", found " + name_of(value.kind));
  }

 private:
  const Json& object_;
  std::string where_;
};

Resize read_resize(const Section& section) {
  const std::string like = section.string("like");
  const std::pair<const char*, Like> known[] = {{"", Like::opencv},
                                                {"torchvision", Like::torchvision},
                                                {"detectron2", Like::detectron2},
                                                {"gluoncv", Like::gluoncv}};
  for (const auto& [name, value] : known) {
    if (like == name) return {section.number("short", 1), section.number("long", 1), value};
  }
  throw Error(section.at("like") + ": expected null, torchvision, detectron2 or gluoncv, found '" +
              like + "'; a newer detkit wrote it");
}

void check_format(const Section& root) {
  const Json& format = root.get("format");
  if (format.kind == Json::Kind::number && format.number == kFormat) return;
  throw Error(root.at("format") + ": expected " + std::to_string(kFormat) +
              ", found another; build this program from the detkit that exported the folder (" +
              root.string("detkit") + "), or export again");
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
}

}  // namespace

const std::string& Model::hash_of(const std::string& name) const {
  for (const auto& [file, hash] : hashes) {
    if (file == name) return hash;
  }
  throw Error(path("model.json") + ": files: expected " + name +
              ", found no such key; export the detector again");
}

std::string Model::read(const std::string& name) const {
  const std::string& expected = hash_of(name);
  std::string bytes = read_file(path(name));
  const std::string found = sha256(bytes);
  if (found != expected) {
    throw Error(path(name) + ": expected the SHA-256 " + expected.substr(0, 12) +
                "... of model.json, found " + found.substr(0, 12) + "... of " +
                std::to_string(bytes.size()) +
                " bytes: the file is truncated or changed; copy the whole folder again");
  }
  return bytes;
}

Model read_model(const std::string& folder) {
  Model model;
  model.folder = folder;
  const std::string path = model.path("model.json");
  Json json;
  try {
    json = Json::parse(read_file(path));
  } catch (const Error& error) {
    const std::string message = error.what();
    throw Error(message.compare(0, path.size(), path) == 0 ? message : path + ": " + message);
  }
  const Section root(json, path);
  check_format(root);
  model.mxnet_version = root.string("mxnet");
  // Folders without the key int8_for were made for VNNI.
  model.needs_vnni = root.string("precision") == "int8" &&
                     (!root.has("int8_for") || root.string("int8_for") == "vnni");
  model.classes = root.strings("classes");
  model.inputs = root.strings("inputs");
  model.first_label = root.number("first_label", 0);
  model.pad_multiple = root.number("pad_multiple", 1);
  model.library = root.string("library");
  for (const Json& output : root.array("outputs")) {
    model.outputs.push_back(Section(output, root.at("outputs")).string("name"));
  }
  if (root.get("resize").kind != Json::Kind::null) {
    model.resize = read_resize(Section(root.get("resize"), root.at("resize")));
  }
  const Json& files = Section::expect(root.get("files"), Json::Kind::object, root.at("files"));
  const Section hashes(files, root.at("files"));
  for (const auto& [name, hash] : files.members)
    model.hashes.emplace_back(name, hashes.string(name));
  if (!model.library.empty() && !is_plain_name(model.library)) {
    throw Error(root.at("library") + ": expected the name of a file in the folder, found '" +
                model.library + "'");
  }
  return model;
}

}  // namespace detkit
