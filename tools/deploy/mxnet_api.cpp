#include "mxnet_api.hpp"

#include <string>

#include "detkit.hpp"
#include "system.hpp"

namespace detkit {
namespace {

void* open_mxnet() {
  std::string errors;
  for (const char* path : {"libmxnet.so", DETKIT_LIBMXNET}) {
    std::string message;
    if (void* library = open_library(path, &message)) return library;
    errors += "; " + message;
  }
  throw Error(
      "expected libmxnet.so, found none: copy it and the libraries beside it in MXNet's Python "
      "package to the program, or name their folder in LD_LIBRARY_PATH" +
      errors);
}

template <typename F>
void find(void* library, const char* name, F* function) {
  *function = reinterpret_cast<F>(find_function(library, name));
  if (!*function) {
    throw Error(std::string("libmxnet.so: expected ") + name + " of MXNet 1.9.1, found none");
  }
}

MXNetApi load() {
  void* library = open_mxnet();
  MXNetApi api;
  find(library, "MXGetLastError", &api.last_error);
  find(library, "MXPredCreate", &api.create);
  find(library, "MXPredReshape", &api.reshape);
  find(library, "MXPredSetInput", &api.set_input);
  find(library, "MXPredForward", &api.forward);
  find(library, "MXPredGetOutputShape", &api.output_shape);
  find(library, "MXPredGetOutput", &api.output);
  find(library, "MXPredFree", &api.free);
  find(library, "MXLoadLib", &api.load_library);
  find(library, "MXGetVersion", &api.version);
  find(library, "MXNDArrayWaitAll", &api.wait_all);
  find(library, "MXSymbolCreateFromJSON", &api.create_symbol);
  find(library, "MXSymbolFree", &api.free_symbol);
  find(library, "MXSymbolInferShapePartialEx", &api.infer_shape);
  int (*list_operators)(uint32_t* count, const char*** names);
  find(library, "MXListAllOpNames", &list_operators);
  uint32_t count = 0;
  const char** names = nullptr;
  list_operators(&count, &names);  // MXNet registers the inference of its older operators here
  return api;
}

}  // namespace

const MXNetApi& mxnet() {
  static const MXNetApi api = load();
  return api;
}

}  // namespace detkit
