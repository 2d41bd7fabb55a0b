#include "model.hpp"

#include <algorithm>
#include <cstdio>

#include "json.hpp"
#include "json_checks.hpp"

namespace detkit {
namespace {

constexpr int kFormat = 1;
// The ranges of detkit/export/manifest_rules.py.
constexpr size_t kMostBytes = 1 << 22, kMostClasses = 10000, kLongestText = 1024, kMostFiles = 64;
constexpr size_t kLongestName = 128, kDigits = 64;
constexpr int kLongestSide = 16384, kLargestMultiple = 1024;  // pixels

constexpr char kAgain[] = "; export the detector again";

std::string number_text(double number) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", number);
  return text;
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

  int number(const std::string& key, int least, int most) const {
    const Json& value = get(key);
    if (!is_whole(value, least, most)) {
      const bool is_number = value.kind == Json::Kind::number;
      throw Error(at(key) + ": expected a whole number from " + std::to_string(least) + " to " +
                  std::to_string(most) + ", found " +
                  (is_number ? number_text(value.number) : name_of(value.kind)) + kAgain);
    }
    return int(value.number);
  }

  // Returns a string.
  std::string string(const std::string& key) const { return text(get(key), at(key)); }

  // Returns a string, "" for null.
  std::string string_or_null(const std::string& key) const {
    return get(key).kind == Json::Kind::null ? "" : string(key);
  }

  // Returns a string that is one of a list.
  std::string one_of(const std::string& key, const std::vector<std::string>& known) const {
    const std::string found = string(key);
    if (std::find(known.begin(), known.end(), found) != known.end()) return found;
    std::string expected;
    for (const std::string& each : known) expected += (expected.empty() ? "" : " or ") + each;
    throw Error(at(key) + ": expected " + expected + ", found '" + found + "'" + kAgain);
  }

  std::vector<std::string> strings(const std::string& key) const {
    std::vector<std::string> out;
    const Json& items = expect(get(key), Json::Kind::array, at(key));
    for (const Json& item : items.items) out.push_back(text(item, at(key)));
    return out;
  }

  static std::string text(const Json& value, const std::string& where) {
    const std::string& found = expect(value, Json::Kind::string, where).string;
    if (found.size() > kLongestText) {
      throw Error(where + ": expected a text of at most " + std::to_string(kLongestText) +
                  " bytes, found " + std::to_string(found.size()) + kAgain);
    }
    return found;
  }

  static const Json& expect(const Json& value, Json::Kind kind, const std::string& where) {
    if (value.kind == kind) return value;
    throw Error(where + ": expected " + name_of(kind) + ", found " + name_of(value.kind));
  }

 private:
  const Json& object_;
  std::string where_;
};

std::optional<Resize> read_resize(const Json& json, const std::string& where) {
  if (json.kind == Json::Kind::null) return std::nullopt;
  const Section section(json, where);
  const std::string like = section.string_or_null("like");
  const int shorter = section.number("short", 1, kLongestSide);
  const int longer = section.number("long", 1, kLongestSide);
  if (json.members.size() != 3) {
    throw Error(where + ": expected short, long and like, found other keys" + kAgain);
  }
  const std::pair<const char*, Like> known[] = {{"", Like::opencv},
                                                {"torchvision", Like::torchvision},
                                                {"detectron2", Like::detectron2},
                                                {"gluoncv", Like::gluoncv}};
  const bool is_null = section.get("like").kind == Json::Kind::null;
  for (const auto& [name, value] : known) {
    if (like == name && like.empty() == is_null) return Resize{shorter, longer, value};
  }
  throw Error(section.at("like") + ": expected null, torchvision, detectron2 or gluoncv, found '" +
              like + "'; a newer detkit wrote it");
}

std::vector<std::string> read_inputs(const Section& root) {
  const std::vector<std::string> found = root.strings("inputs");
  const std::vector<std::string> images = {"images", "sizes"};
  const std::vector<std::string> scaled = {"images", "sizes", "scales"};
  const std::vector<std::string> proposed = {"images", "sizes", "proposals", "proposal_scores"};
  if (found == images || found == scaled || found == proposed) return found;
  std::string names;
  for (const std::string& name : found) names += (names.empty() ? "'" : ", '") + name + "'";
  throw Error(root.at("inputs") + ": expected images and sizes, and perhaps scales, or " +
              "proposals and proposal_scores, found " + std::to_string(found.size()) + ": " +
              names + kAgain);
}

std::vector<std::string> read_classes(const Section& root) {
  std::vector<std::string> classes = root.strings("classes");
  if (!classes.empty() && classes.size() <= kMostClasses) return classes;
  throw Error(root.at("classes") + ": expected 1 to " + std::to_string(kMostClasses) +
              " names, found " + std::to_string(classes.size()) + kAgain);
}

// Reads the threshold that detkit test --threshold chose. Older folders have none.
std::vector<double> read_thresholds(const Section& root, size_t classes) {
  if (!root.has("threshold") || root.get("threshold").kind == Json::Kind::null) return {};
  const std::string where = root.at("threshold");
  const Section section(root.get("threshold"), where);
  section.string("rule");
  section.string("split");
  std::vector<double> scores;
  const Json& items = Section::expect(section.get("scores"), Json::Kind::array, where);
  for (const Json& item : items.items) {
    const bool fits = item.kind == Json::Kind::number && item.number >= 0 && item.number <= 1;
    scores.push_back(fits ? item.number : -1);
  }
  if ((scores.size() != 1 && scores.size() != classes) ||
      root.get("threshold").members.size() != 3 ||
      std::count(scores.begin(), scores.end(), -1.0) != 0) {
    throw Error(where + ": expected scores, one number from 0 to 1 or one for each of the " +
                std::to_string(classes) + " classes, with a rule and a split, found other values" +
                kAgain);
  }
  return scores;
}

void check_format(const Section& root) {
  const Json& format = root.get("format");
  if (is_whole(format, kFormat, kFormat)) return;
  throw Error(root.at("format") + ": expected " + std::to_string(kFormat) +
              ", found another; build this program from the detkit that exported the folder (" +
              root.string("detkit") + "), or export again");
}

bool is_plain_name(const std::string& name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  return !name.empty() && name.size() <= kLongestName && name[0] != '.' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), fits);
}

bool is_digest(const std::string& text) {
  return text.size() == kDigits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void read_files(const Section& root, Model* model) {
  const std::string where = root.at("files");
  const Json& files = Section::expect(root.get("files"), Json::Kind::object, where);
  if (files.members.size() > kMostFiles) {
    throw Error(where + ": expected up to " + std::to_string(kMostFiles) + " files, found " +
                std::to_string(files.members.size()) + kAgain);
  }
  for (const auto& [name, hash] : files.members) {
    if (!is_plain_name(name) || !is_digest(Section::text(hash, where))) {
      throw Error(where + ": expected names of files in the folder, each with " +
                  std::to_string(kDigits) + " hexadecimal digits, found '" + name + "': '" +
                  hash.string + "'" + kAgain);
    }
    model->hashes.emplace_back(name, hash.string);
  }
  if (!model->library.empty()) model->hash_of(model->library);
  model->hash_of(kSymbolFile);
  model->hash_of(kParameterFile);
}

void check_source(const Section& root) {
  const std::string where = root.at("source");
  const Section source(root.get("source"), where);
  for (const auto& [key, value] : root.get("source").members) source.string_or_null(key);
}

}  // namespace

Model read_model(const std::string& folder) {
  return parse_model(folder, read_file(folder + "/model.json", kAgain));
}

Model parse_model(const std::string& folder, const std::string& text) {
  Model model;
  model.folder = folder;
  const std::string path = model.path("model.json");
  if (text.size() > kMostBytes) {
    throw Error(path + ": expected at most " + std::to_string(kMostBytes) + " bytes, found " +
                std::to_string(text.size()) + kAgain);
  }
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Error& error) {
    throw Error(path + ": " + error.what());
  }
  const Section root(json, path);
  check_format(root);
  root.string("detkit");
  model.mxnet_version = root.string("mxnet");
  model.classes = read_classes(root);
  model.inputs = read_inputs(root);
  model.outputs = read_outputs(root.at("outputs"), root.get("outputs"));
  model.first_label = root.number("first_label", 0, int(model.classes.size()) - 1);
  model.pad_multiple = root.number("pad_multiple", 1, kLargestMultiple);
  model.resize = read_resize(root.get("resize"), root.at("resize"));
  model.thresholds = read_thresholds(root, model.classes.size());
  root.one_of("ops", {"native", "mxnet"});
  const bool is_int8 = root.one_of("precision", {"float32", "bfloat16", "int8"}) == "int8";
  // Folders without the key int8_for were made for VNNI.
  const bool is_null = root.has("int8_for") && root.get("int8_for").kind == Json::Kind::null;
  std::string cpus = is_null ? "any" : "vnni";
  if (root.has("int8_for") && !is_null) cpus = root.one_of("int8_for", {"any", "vnni"});
  model.needs_vnni = is_int8 && cpus == "vnni";
  model.library = root.string_or_null("library");
  if (root.get("library").kind == Json::Kind::string && !is_plain_name(model.library)) {
    throw Error(root.at("library") + ": expected the name of a file in the folder, found '" +
                model.library + "'" + kAgain);
  }
  check_source(root);
  read_files(root, &model);
  return model;
}

}  // namespace detkit
