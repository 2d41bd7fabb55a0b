// The files of a folder that model.json has the hashes of.
#include <filesystem>
#include <fstream>

#include "model.hpp"
#include "sha256.hpp"

namespace detkit {

std::string read_file(const std::string& path, const std::string& advice) {
  std::error_code ignored;
  const auto place = std::filesystem::u8path(path);
  const bool is_file = std::filesystem::is_regular_file(place, ignored);
  std::ifstream file;
  if (is_file) file.open(place, std::ios::binary | std::ios::ate);  // a pipe might never open
  const std::streamoff size = file.is_open() ? std::streamoff(file.tellg()) : -1;
  if (size < 0) throw Error(path + ": expected a readable file, found none" + advice);
  std::string bytes(size_t(size), '\0');
  file.seekg(0);
  if (!file.read(bytes.data(), size)) throw Error(path + ": reading it failed");
  return bytes;
}

const std::string& Model::hash_of(const std::string& name) const {
  if (const std::string* hash = find_hash(name)) return *hash;
  throw Error(path("model.json") + ": files: expected " + name +
              ", found no such key; export the detector again");
}

const std::string* Model::find_hash(const std::string& name) const {
  for (const auto& [file, hash] : hashes) {
    if (file == name) return &hash;
  }
  return nullptr;
}

std::string Model::read(const std::string& name) const {
  hash_of(name);
  return read_if_listed(name, "; export the detector again");
}

std::string Model::read_if_listed(const std::string& name, const std::string& advice) const {
  std::string bytes = read_file(path(name), advice);
  const std::string* expected = find_hash(name);
  if (!expected) return bytes;
  const std::string found = sha256(bytes);
  if (found != *expected) {
    throw Error(path(name) + ": expected the SHA-256 " + expected->substr(0, 12) +
                "... of model.json, found " + found.substr(0, 12) + "... of " +
                std::to_string(bytes.size()) +
                " bytes: the file is truncated or changed; copy the whole folder again");
  }
  return bytes;
}

}  // namespace detkit
