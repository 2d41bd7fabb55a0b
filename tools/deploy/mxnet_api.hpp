// The functions of libmxnet.so that a predictor needs.
#pragma once

// clang-format off
#include <cstdint>  // whose types the other one uses without including it
#include <mxnet/c_predict_api.h>
// clang-format on

namespace detkit {

struct MXNetApi {
  decltype(&MXGetLastError) last_error;
  decltype(&MXPredCreate) create;
  decltype(&MXPredReshape) reshape;
  decltype(&MXPredSetInput) set_input;
  decltype(&MXPredForward) forward;
  decltype(&MXPredGetOutputShape) output_shape;
  decltype(&MXPredGetOutput) output;
  decltype(&MXPredFree) free;
  int (*load_library)(const char* path, unsigned verbose);
  int (*version)(int* out);
  int (*wait_all)();
};

// Loads libmxnet.so at the first call: the one beside the program or where the system looks, else
// that of the package which this was built with. Throws Error where there is none.
//
// It is not linked, for it brings a libjpeg, a libpng and more of its own, and in a linked program
// OpenCV would get those for its own.
const MXNetApi& mxnet();

}  // namespace detkit
