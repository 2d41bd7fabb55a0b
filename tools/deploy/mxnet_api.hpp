// The functions of libmxnet.so that a predictor needs.
#pragma once

// clang-format off
#include <cstdint>  // c_predict_api.h uses its types without including it
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
  int (*create_symbol)(const char* json, void** out);
  int (*free_symbol)(void* symbol);
  // MXSymbolInferShapePartialEx: numbers, axes and sides of the inputs, outputs and auxiliary
  // arrays.
  int (*infer_shape)(void* symbol, uint32_t count, const char** names, const uint32_t* begins,
                     const int* sides, uint32_t* inputs, const int** input_axes,
                     const int*** input_sides, uint32_t* outputs, const int** output_axes,
                     const int*** output_sides, uint32_t* auxiliary, const int** auxiliary_axes,
                     const int*** auxiliary_sides, int* complete);
};

// Loads libmxnet.so at the first call: the file beside the program or on the system's path, or else
// the file of the package that this program was built with. Throws Error if there is none.
//
// The library is not linked, because it exports a libjpeg, a libpng and others. In a linked program
// OpenCV would use them instead of its own.
const MXNetApi& mxnet();

}  // namespace detkit
