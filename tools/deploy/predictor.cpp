#include "predictor.hpp"

#include <climits>
#include <map>
#include <mutex>

#include "graph.hpp"
#include "mxnet_api.hpp"

namespace detkit {
namespace {

constexpr int kOnCpu = 1;
constexpr size_t kMostInputs = 3;     // images, sizes and scales
constexpr uint32_t kFirstSide = 256;  // of the first shape, bound before any image

// MXNet's passes over a graph and its registry of operators are not safe in several threads.
std::mutex& graph_mutex() {
  static std::mutex mutex;
  return mutex;
}

// The number of Predictors, guarded by graph_mutex.
int alive = 0;

// MXNet frees memory in a thread of its own, and a process that ends meanwhile crashes.
void settle() {
  if (alive == 0) mxnet().wait_all();
}

// Returns MXNet's message without its stack trace.
std::string last_error() {
  const std::string message = mxnet().last_error();
  const size_t end = message.find_last_not_of("\n", message.find("\nStack trace:"));
  return message.substr(0, end + 1);
}

std::string installed_version() {
  int version = 0;
  mxnet().version(&version);
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

// The caller holds graph_mutex. A process loads one library of operators, or copies of it.
void load_library(const Model& model) {
  static std::string loaded_path, loaded_hash;
  const std::string path = model.path(model.library);
  const std::string& hash = model.hash_of(model.library);
  model.read(model.library);  // throws for a changed file, before any of its code runs
  if (loaded_hash == hash) return;
  if (!loaded_hash.empty()) {
    throw Error(path + ": expected the library of operators that this process has loaded, " +
                loaded_path + ", found another; export both detectors with one detkit");
  }
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  if (mxnet().load_library(file.c_str(), 0) != 0) {
    throw Error(path + ": MXNet " + installed_version() + " cannot load it: " + last_error());
  }
  loaded_path = path;
  loaded_hash = hash;
}

// The arguments of MXPredCreate and MXPredReshape about the inputs.
struct InputShapes {
  std::vector<const char*> names;
  std::vector<uint32_t> begins{0, 4};
  std::vector<uint32_t> sides;

  InputShapes(const std::vector<std::string>& inputs, const std::array<uint32_t, 3>& shape)
      : names{inputs[0].c_str()}, sides{shape[0], 3, shape[1], shape[2]} {
    for (size_t i = 1; i < inputs.size(); ++i) {  // sizes, and perhaps scales
      names.push_back(inputs[i].c_str());
      sides.insert(sides.end(), {shape[0], 2});
      begins.push_back(uint32_t(sides.size()));
    }
  }
};

}  // namespace

Predictor::Predictor(const Model& model)
    : name_(model.path(kSymbolFile)),
      version_(model.mxnet_version),
      inputs_(model.inputs),
      outputs_(model.outputs.names.size()) {
  if (inputs_.size() > kMostInputs) {
    throw Error(
        model.path("model.json") +
        ": inputs has proposals, which this library cannot pass on: the detector makes none "
        "of its own, as a Fast R-CNN; use detkit.load_exported in Python, or ONNX Runtime");
  }
  const uint32_t multiple = uint32_t(model.pad_multiple);
  const uint32_t side = (kFirstSide + multiple - 1) / multiple * multiple;
  create(model, {1, side, side});
}

void Predictor::create(const Model& model, Canvas shape) {
  const std::string symbol = model.read(kSymbolFile), parameters = model.read(kParameterFile);
  if (parameters.size() > size_t(INT_MAX)) {
    throw Error(model.path(kParameterFile) +
                ": expected at most 2 GiB for MXNet's predictor, found " +
                std::to_string(parameters.size()) + " bytes");
  }
  shapes_ =
      std::make_unique<NetworkShapes>(name_, symbol, check_network(model, symbol, parameters));
  const InputShapes shapes(inputs_, shape);
  const std::lock_guard<std::mutex> lock(graph_mutex());
  if (!model.library.empty()) load_library(model);
  check_shapes(shape);
  const int status =
      mxnet().create(symbol.c_str(), parameters.data(), int(parameters.size()), kOnCpu, 0,
                     uint32_t(inputs_.size()), const_cast<const char**>(shapes.names.data()),
                     shapes.begins.data(), shapes.sides.data(), &handle_);
  if (status != 0) settle();
  check(status, "cannot load it");
  ++alive;
  bound_ = shape;
}

Predictor::~Predictor() {
  const std::lock_guard<std::mutex> lock(graph_mutex());
  mxnet().free(handle_);
  --alive;
  settle();
}

void Predictor::check_shapes(Canvas shape) {
  const int64_t batch = shape[0];
  std::map<std::string, Shape> shapes{{inputs_[0], {batch, 3, shape[1], shape[2]}}};
  for (size_t i = 1; i < inputs_.size(); ++i) shapes[inputs_[i]] = {batch, 2};
  shapes_->check(shapes);
}

void Predictor::bind(Canvas shape) {
  if (shape == bound_) return;
  const InputShapes shapes(inputs_, shape);
  void* reshaped = nullptr;
  const std::lock_guard<std::mutex> lock(graph_mutex());
  check_shapes(shape);
  check(mxnet().reshape(uint32_t(inputs_.size()), const_cast<const char**>(shapes.names.data()),
                        shapes.begins.data(), shapes.sides.data(), handle_, &reshaped),
        "cannot take images of " + std::to_string(shape[1]) + " x " + std::to_string(shape[2]));
  mxnet().free(handle_);
  handle_ = reshaped;
  bound_ = shape;
}

std::vector<Output> Predictor::run(const std::vector<float>& images,
                                   const std::vector<float>& sizes,
                                   const std::vector<float>& scales, uint32_t batch, Size canvas) {
  bind({batch, uint32_t(canvas.height), uint32_t(canvas.width)});
  const char* failed = "failed";
  const std::vector<float>* values[] = {&images, &sizes, &scales};
  for (size_t i = 0; i < inputs_.size(); ++i) {
    check(mxnet().set_input(handle_, inputs_[i].c_str(), values[i]->data(),
                            uint32_t(values[i]->size())),
          failed);
  }
  check(mxnet().forward(handle_), failed);
  std::vector<Output> outputs;
  for (uint32_t index = 0; index < outputs_; ++index) outputs.push_back(output(index));
  return outputs;
}

Output Predictor::output(uint32_t index) {
  uint32_t *sides = nullptr, count = 0;
  const std::string doing = "failed at output " + std::to_string(index);
  check(mxnet().output_shape(handle_, index, &sides, &count), doing);
  Output out{{sides, sides + count}, {}};
  size_t size = 1;
  for (const uint32_t side : out.shape) size *= side;
  out.values.resize(size);
  check(mxnet().output(handle_, index, out.values.data(), uint32_t(size)), doing);
  return out;
}

void Predictor::check(int status, const std::string& doing) const {
  if (status == 0) return;
  const std::string message = last_error(), installed = installed_version();
  const std::string note = installed == version_ ? "" : " (exported with " + version_ + ")";
  throw Error(name_ + ": MXNet " + installed + note + " " + doing + ": " + message);
}

}  // namespace detkit
