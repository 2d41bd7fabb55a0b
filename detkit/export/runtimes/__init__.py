"""The programs that run an exported network: one module for each.

    names.py            the words for runtimes, devices and files
    choice.py           which of them reads a file, and on which device
    by_mxnet.py         MXNet, and the symbol of an export
    by_onnxruntime.py   ONNX Runtime, and an .onnx
    by_openvino.py      OpenVINO, and an .onnx

Each gives an ExportedDetector. What it needs is imported when it is chosen.
"""
