"""The words for runtimes, devices and files of exports, which command lines read without numpy."""

import os
from typing import Union

PathName = Union[str, "os.PathLike[str]"]

MXNET, ONNXRUNTIME, OPENVINO = "mxnet", "onnxruntime", "openvino"
RUNTIMES = (MXNET, ONNXRUNTIME, OPENVINO)
FOR_ONNX = (OPENVINO, ONNXRUNTIME)  # without a choice, the first that is installed is taken

# MXNet calls a GPU "gpu", ONNX Runtime "cuda"; each is understood as the other.
AUTO, CPU, GPU, CUDA, TENSORRT = "auto", "cpu", "gpu", "cuda", "tensorrt"
DEVICES = (AUTO, CPU, GPU, CUDA, TENSORRT)

ONNX, ONNX_INT8 = "model.onnx", "model-int8.onnx"  # of the folder of an export
ONNX_NNCF = "model-int8-nncf.onnx"  # the same, by NNCF
SUFFIX = ".onnx"  # of such a file by any other name


def is_onnx(path: PathName) -> bool:
    """Returns whether a path is that of an .onnx and of no folder, even one that is not there."""
    name = os.fspath(path)
    return name.lower().endswith(SUFFIX) and not os.path.isdir(name)
