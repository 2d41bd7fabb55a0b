// The folder of an exported detector: model.json, and the files that it vouches for.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "resize.hpp"

namespace detkit {

struct Model {
  std::string folder, mxnet_version;
  std::vector<std::string> classes, inputs, outputs;
  int first_label;               // added to the network's labels
  std::optional<Resize> resize;  // none: images go in as they are
  int pad_multiple;              // sides of the network's input are multiples of it
  std::string library;           // of detkit's operators; empty where MXNet's own suffice
  bool needs_vnni;               // its INT8 layers are wrong on x86 without VNNI
  std::vector<std::pair<std::string, std::string>> hashes;  // file name, SHA-256

  std::string path(const std::string& name) const { return folder + "/" + name; }

  // The SHA-256 that model.json gives for a file. Throws Error where it gives none.
  const std::string& hash_of(const std::string& name) const;

  // What a file holds. Throws Error for one that is missing or is not what was exported.
  std::string read(const std::string& name) const;
};

// Throws Error for a folder without a model.json and for one that this program cannot read.
Model read_model(const std::string& folder);

}  // namespace detkit
