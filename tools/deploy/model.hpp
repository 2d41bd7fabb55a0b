// The folder of an exported detector: model.json, and the files whose hashes it has.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "outputs.hpp"
#include "resize.hpp"

namespace detkit {

constexpr char kSymbolFile[] = "model-symbol.json", kParameterFile[] = "model-0000.params";

struct Model {
  std::string folder, mxnet_version;
  std::vector<std::string> classes, inputs;
  Outputs outputs;
  int first_label;                 // added to the network's labels
  std::optional<Resize> resize;    // none: images are not resized
  int pad_multiple;                // both sides of the network's input are multiples
  std::string library;             // of detkit's operators; empty if MXNet's own suffice
  std::vector<double> thresholds;  // the least score of all classes, or of each; empty: none
  bool needs_vnni;                 // its INT8 layers are wrong on x86 without VNNI
  std::vector<std::pair<std::string, std::string>> hashes;  // file name, SHA-256

  std::string path(const std::string& name) const { return folder + "/" + name; }

  // Returns the SHA-256 of a file in model.json. Throws Error if it has none.
  const std::string& hash_of(const std::string& name) const;

  // Does the same, or returns nullptr if it has none.
  const std::string* find_hash(const std::string& name) const;

  // Returns the bytes of a file. Throws Error if it is missing or has another SHA-256.
  std::string read(const std::string& name) const;

  // Does the same with a file that model.json need not name. `advice` says how to make the file.
  std::string read_if_listed(const std::string& name, const std::string& advice) const;
};

// Returns the bytes of a file. Throws Error with the advice if it is missing or not a regular one.
std::string read_file(const std::string& path, const std::string& advice);

// Reads model.json. Throws Error if it is missing, damaged, of another version, or if a value is
// outside of its range (detkit/export/manifest_rules.py).
Model read_model(const std::string& folder);

// Does the same with the content of model.json.
Model parse_model(const std::string& folder, const std::string& text);

}  // namespace detkit
