// The back end of OpenVINO, which runs model.onnx on the CPU.
#include <openvino/openvino.hpp>

#include "onnx_file.hpp"
#include "predictor.hpp"

namespace detkit {

const Backend kBackend{"OpenVINO", 512};

void prepare_process() {}

// OpenVINO compiles a network for any batch and image size.
struct Predictor::Network {
  Model model;
  ov::Core core;
  ov::InferRequest request;

  explicit Network(const Model& read) : model(read) {
    const std::shared_ptr<ov::Model> network = core.read_model(read_onnx(model), ov::Tensor());
    std::vector<std::string> inputs, outputs;
    for (const auto& each : network->inputs()) inputs.push_back(each.get_any_name());
    for (const auto& each : network->outputs()) outputs.push_back(each.get_any_name());
    check_names(model, inputs, outputs);
    // Some processors would compute in 16 bits otherwise, and other boxes would be found.
    ov::AnyMap options{ov::hint::inference_precision(ov::element::f32),
                       ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY)};
    if (cores() > 0) options.insert(ov::inference_num_threads(cores()));
    request = core.compile_model(network, "CPU", options).create_infer_request();
  }

  Output output(const std::string& name) {
    const ov::Tensor tensor = request.get_tensor(name);
    const auto* values = tensor.data<float>();
    Output out{{}, {values, values + tensor.get_size()}};
    for (const size_t side : tensor.get_shape()) out.shape.push_back(uint32_t(side));
    return out;
  }
};

Predictor::Predictor(const Model& model) {
  try {
    network_ = std::make_unique<Network>(model);
  } catch (const ov::Exception& error) {
    throw onnx_error(model, "cannot load it", error.what());
  }
}

Predictor::~Predictor() = default;

std::vector<Output> Predictor::run(const std::vector<Input>& inputs) {
  try {
    for (const Input& input : inputs) {
      const ov::Shape shape(input.shape.begin(), input.shape.end());
      auto* values = const_cast<float*>(input.values->data());  // an input is only read
      network_->request.set_tensor(input.name, ov::Tensor(ov::element::f32, shape, values));
    }
    network_->request.infer();
    std::vector<Output> outputs;
    for (const std::string& name : network_->model.outputs.names) {
      outputs.push_back(network_->output(name));
    }
    return outputs;
  } catch (const ov::Exception& error) {
    throw onnx_error(network_->model, "failed", error.what());
  }
}

std::string Predictor::warning(const Model&) { return ""; }  // model.onnx is of float32

}  // namespace detkit
