// The back end of MXNet, which runs the folder's symbol with detkit's operators.
#include <array>
#include <climits>
#include <map>
#include <mutex>

#include "graph.hpp"
#include "mxnet_api.hpp"
#include "predictor.hpp"
#include "shapes.hpp"
#include "system.hpp"

namespace detkit {
namespace {

using Canvas = std::array<uint32_t, 3>;  // B, H, W

constexpr int kOnCpu = 1;
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

  InputShapes(const std::vector<std::string>& inputs, Canvas shape)
      : names{inputs[0].c_str()}, sides{shape[0], 3, shape[1], shape[2]} {
    for (size_t i = 1; i < inputs.size(); ++i) {  // sizes, and perhaps scales
      names.push_back(inputs[i].c_str());
      sides.insert(sides.end(), {shape[0], 2});
      begins.push_back(uint32_t(sides.size()));
    }
  }
};

// Tells whether oneDNN sums 8-bit products in 32 bits here. Without VNNI, x86 adds two in 16 bits.
bool adds_products_exactly() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") || __builtin_cpu_supports("avxvnni");
#else
  return true;
#endif
}

}  // namespace

const Backend kBackend{"MXNet", 640};  // MXNet 1.9.1

void prepare_process() {
  set_default_variable("MXNET_SUBGRAPH_VERBOSE", "0");  // 1 prints a line for each new input shape
  set_default_variable("MXNET_MKLDNN_CACHE_NUM", "512");  // see detkit/memory.py
}

// MXNet binds a network to one shape of its input, and binds it again for another shape. This takes
// a tenth of the time of a detection. The new network takes over the memory of the old one, so that
// the memory is what the largest shape needs. A network for each shape would need its own memory
// and its own copy of the weights, which oneDNN keeps in another order.
struct Predictor::Network {
  explicit Network(const Model& model);
  ~Network();

  void create(const Model& model, Canvas shape);
  void bind(Canvas shape);
  Output output(uint32_t index);
  void check(int status, const std::string& doing) const;
  void check_shapes(Canvas shape);

  std::string name, version;  // of the network's file, and of the MXNet that exported it
  std::vector<std::string> inputs;
  size_t outputs;
  std::unique_ptr<NetworkShapes> shapes;
  void* handle = nullptr;
  Canvas bound{};
};

Predictor::Network::Network(const Model& model)
    : name(model.path(kSymbolFile)),
      version(model.mxnet_version),
      inputs(model.inputs),
      outputs(model.outputs.names.size()) {
  const uint32_t multiple = uint32_t(model.pad_multiple);
  const uint32_t side = (kFirstSide + multiple - 1) / multiple * multiple;
  create(model, {1, side, side});
}

void Predictor::Network::create(const Model& model, Canvas shape) {
  const std::string symbol = model.read(kSymbolFile), parameters = model.read(kParameterFile);
  if (parameters.size() > size_t(INT_MAX)) {
    throw Error(model.path(kParameterFile) +
                ": expected at most 2 GiB for MXNet's predictor, found " +
                std::to_string(parameters.size()) + " bytes");
  }
  shapes = std::make_unique<NetworkShapes>(name, symbol, check_network(model, symbol, parameters));
  const InputShapes given(inputs, shape);
  const std::lock_guard<std::mutex> lock(graph_mutex());
  if (!model.library.empty()) load_library(model);
  check_shapes(shape);
  const int status =
      mxnet().create(symbol.c_str(), parameters.data(), int(parameters.size()), kOnCpu, 0,
                     uint32_t(inputs.size()), const_cast<const char**>(given.names.data()),
                     given.begins.data(), given.sides.data(), &handle);
  if (status != 0) settle();
  check(status, "cannot load it");
  ++alive;
  bound = shape;
}

Predictor::Network::~Network() {
  const std::lock_guard<std::mutex> lock(graph_mutex());
  mxnet().free(handle);
  --alive;
  settle();
}

void Predictor::Network::check_shapes(Canvas shape) {
  const int64_t batch = shape[0];
  std::map<std::string, Shape> sides{{inputs[0], {batch, 3, shape[1], shape[2]}}};
  for (size_t i = 1; i < inputs.size(); ++i) sides[inputs[i]] = {batch, 2};
  shapes->check(sides);
}

void Predictor::Network::bind(Canvas shape) {
  if (shape == bound) return;
  const InputShapes given(inputs, shape);
  void* reshaped = nullptr;
  const std::lock_guard<std::mutex> lock(graph_mutex());
  check_shapes(shape);
  check(mxnet().reshape(uint32_t(inputs.size()), const_cast<const char**>(given.names.data()),
                        given.begins.data(), given.sides.data(), handle, &reshaped),
        "cannot take images of " + std::to_string(shape[1]) + " x " + std::to_string(shape[2]));
  mxnet().free(handle);
  handle = reshaped;
  bound = shape;
}

Output Predictor::Network::output(uint32_t index) {
  uint32_t *sides = nullptr, count = 0;
  const std::string doing = "failed at output " + std::to_string(index);
  check(mxnet().output_shape(handle, index, &sides, &count), doing);
  Output out{{sides, sides + count}, {}};
  size_t size = 1;
  for (const uint32_t side : out.shape) size *= side;
  out.values.resize(size);
  check(mxnet().output(handle, index, out.values.data(), uint32_t(size)), doing);
  return out;
}

void Predictor::Network::check(int status, const std::string& doing) const {
  if (status == 0) return;
  const std::string message = last_error(), installed = installed_version();
  const std::string note = installed == version ? "" : " (exported with " + version + ")";
  throw Error(name + ": MXNet " + installed + note + " " + doing + ": " + message);
}

Predictor::Predictor(const Model& model) : network_(std::make_unique<Network>(model)) {}
Predictor::~Predictor() = default;

std::vector<Output> Predictor::run(const std::vector<Input>& inputs) {
  const char* failed = "failed";
  const std::vector<uint32_t>& images = inputs.front().shape;
  network_->bind({images[0], images[2], images[3]});
  for (const Input& input : inputs) {
    network_->check(mxnet().set_input(network_->handle, input.name.c_str(), input.values->data(),
                                      uint32_t(input.values->size())),
                    failed);
  }
  network_->check(mxnet().forward(network_->handle), failed);
  std::vector<Output> outputs;
  for (uint32_t i = 0; i < network_->outputs; ++i) outputs.push_back(network_->output(i));
  return outputs;
}

std::string Predictor::warning(const Model& model) {
  if (!model.needs_vnni || adds_products_exactly()) return "";
  return model.folder +
         ": expected a CPU with VNNI, for which its INT8 was exported, found none: sums saturate, "
         "and objects may be missed; export it again with --int8-for any";
}

}  // namespace detkit
