"""Exports a detector as files that need none of detkit's models; see commands/export.py.

    symbol.py     a Detector -> a folder
    graph/        the network's graph: graph.py is its form, simplify.py removes what only training
                  needs, layer_names.py names the layers, fusion.py joins each layer with the
                  operators after it
    precision/    layers of fewer bits: precisions.py is the choice, bf16.py, quantize.py with
                  calibrate.py (the ranges), int8.py (MXNet's pass), layer_errors.py (the cost)
    manifest.py   model.json, and whether the folder is complete
    onnx_manifest.py  the same of an .onnx, in its metadata, which onnx_files.py reads
    exported.py   images -> detections, by a network of files
    runtimes/     the network of files: MXNet, ONNX Runtime or OpenVINO runs it
    check.py      compares the detections of the files with the detector's, in Python, C++ and ONNX
    onnx/         a Detector -> an ONNX model

``exported`` and ``manifest`` import no model and no config: numpy and OpenCV are enough, and what
runs the network.
"""
