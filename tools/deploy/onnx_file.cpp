#include "onnx_file.hpp"

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "predictor.hpp"

namespace detkit {
namespace {

constexpr long kMostCores = 1 << 10;

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

void check_same(const std::string& where, const std::string& what,
                std::vector<std::string> expected, std::vector<std::string> found) {
  std::sort(expected.begin(), expected.end());
  std::sort(found.begin(), found.end());
  if (found == expected) return;
  throw Error(where + ": " + what + ": expected those of model.json, " + joined(expected) +
              ", found " + joined(found) + "; export both files together (detkit export --onnx)");
}

}  // namespace

std::string read_onnx(const Model& model) {
  const std::string bytes = model.read_if_listed(kOnnxFile, "; use detkit export --onnx");
  if (bytes.size() <= size_t(INT_MAX)) return bytes;
  throw Error(model.path(kOnnxFile) + ": expected at most 2 GiB, found " +
              std::to_string(bytes.size()) + " bytes");
}

void check_names(const Model& model, std::vector<std::string> inputs,
                 std::vector<std::string> outputs) {
  check_same(model.path(kOnnxFile), "inputs", model.inputs, std::move(inputs));
  check_same(model.path(kOnnxFile), "outputs", model.outputs.names, std::move(outputs));
}

Error onnx_error(const Model& model, const std::string& doing, const std::string& message) {
  std::string line = message.substr(0, message.find_last_not_of("\n ") + 1);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return Error(model.path(kOnnxFile) + ": " + kBackend.name + " " + doing + ": " + line);
}

int cores() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  return text ? int(std::clamp(std::strtol(text, nullptr, 10), 0L, kMostCores)) : 0;
}

}  // namespace detkit
