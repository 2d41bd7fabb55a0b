// The back end of ONNX Runtime, which runs model.onnx on the CPU.
//
// The program may find an older library than the headers that it was compiled with. The interface
// is therefore fetched by hand, and not before main as Ort::Global does, which would crash.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include "onnx_file.hpp"
#include "predictor.hpp"

namespace detkit {
namespace {

void load_api() {
  static const OrtApi* const api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (!api) {
    throw Error("expected ONNX Runtime 1." + std::to_string(ORT_API_VERSION) +
                " or later, with whose headers this program was built, found " +
                OrtGetApiBase()->GetVersionString() + "; replace the library or build again");
  }
  Ort::InitApi(api);
}

std::vector<const char*> pointers(const std::vector<std::string>& names) {
  std::vector<const char*> out;
  for (const std::string& name : names) out.push_back(name.c_str());
  return out;
}

Output output_of(const Ort::Value& value) {
  const Ort::TensorTypeAndShapeInfo info = value.GetTensorTypeAndShapeInfo();
  if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
    throw Ort::Exception("expected outputs of float32, found another type", ORT_INVALID_GRAPH);
  }
  const float* values = value.GetTensorData<float>();
  Output out{{}, {values, values + info.GetElementCount()}};
  for (const int64_t side : info.GetShape()) out.shape.push_back(uint32_t(side));
  return out;
}

}  // namespace

const Backend kBackend{"ONNX Runtime", 256};

void prepare_process() {}

// ONNX Runtime takes any batch and image size.
struct Predictor::Network {
  Model model;
  Ort::Env env{ORT_LOGGING_LEVEL_ERROR, "detkit"};
  Ort::Session session{nullptr};

  explicit Network(const Model& read) : model(read) {
    const std::string bytes = read_onnx(model);
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(cores());
    session = Ort::Session(env, bytes.data(), bytes.size(), options);
    Ort::AllocatorWithDefaultOptions allocator;
    std::vector<std::string> inputs, outputs;
    for (size_t i = 0; i < session.GetInputCount(); ++i) {
      inputs.push_back(session.GetInputNameAllocated(i, allocator).get());
    }
    for (size_t i = 0; i < session.GetOutputCount(); ++i) {
      outputs.push_back(session.GetOutputNameAllocated(i, allocator).get());
    }
    check_names(model, inputs, outputs);
  }
};

Predictor::Predictor(const Model& model) {
  load_api();
  try {
    network_ = std::make_unique<Network>(model);
  } catch (const Ort::Exception& error) {
    throw onnx_error(model, "cannot load it", error.what());
  }
}

Predictor::~Predictor() = default;

std::vector<Output> Predictor::run(const std::vector<Input>& inputs) {
  const Model& model = network_->model;
  try {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::vector<Ort::Value> arrays;
    for (const Input& input : inputs) {
      const std::vector<int64_t> shape(input.shape.begin(), input.shape.end());
      auto* values = const_cast<float*>(input.values->data());  // an input is only read
      arrays.push_back(Ort::Value::CreateTensor<float>(memory, values, input.values->size(),
                                                       shape.data(), shape.size()));
    }
    const std::vector<const char*> given = pointers(model.inputs);
    const std::vector<const char*> wanted = pointers(model.outputs.names);
    const std::vector<Ort::Value> found =
        network_->session.Run(Ort::RunOptions{nullptr}, given.data(), arrays.data(), arrays.size(),
                              wanted.data(), wanted.size());
    std::vector<Output> outputs;
    for (const Ort::Value& each : found) outputs.push_back(output_of(each));
    return outputs;
  } catch (const Ort::Exception& error) {
    throw onnx_error(model, "failed", error.what());
  }
}

std::string Predictor::warning(const Model&) { return ""; }  // model.onnx is of float32

}  // namespace detkit
