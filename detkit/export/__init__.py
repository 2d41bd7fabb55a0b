"""A detector as files that need none of detkit's models: what tools/export.py writes.

    symbol.py     a Detector -> a folder
    simplify.py   takes out of the graph what only training needs; graph.py: what it works on
    precision.py  fewer bits: bf16.py; quantize.py with calibrate.py (the ranges of the numbers),
                  int8.py (MXNet's pass) and layer_errors.py (what it costs); layers.py: the names
                  of layers; fusion.py: a layer and what comes after it as one operator
    manifest.py   model.json, and whether the folder is whole
    exported.py   a folder -> detections
    compare.py    whether they are still the same; runs the C++ program of tools/deploy, too
    onnx/         a Detector -> an ONNX model

``exported`` and ``manifest`` import no model and no config: MXNet, numpy and OpenCV are enough.
"""
