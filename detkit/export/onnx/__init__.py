"""A detector as an ONNX model, which ONNX Runtime, TensorRT and others run without MXNet.

    model.py      a Detector -> an onnx.ModelProto
    translate.py  the table of translators, one for each operator of MXNet or detkit, and what one
                  is given; they are in layers.py, elementwise.py, shapes.py, detection.py (NMS,
                  proposals) and roi.py
    builder.py    the ONNX graph they add to
    quantize.py   the model in INT8, by ONNX Runtime's quantizer

A translator is one small function; an operator of detkit (detkit/ops) is translated as a whole.
"""

from detkit.errors import ExportError
from detkit.export.manifest import ANY
from detkit.export.precision.calibrate import NAIVE
from detkit.export.precision.quantize import KEEP


def convert(detector):
    """The onnx.ModelProto of a Detector.

    Inputs: ``images`` (B, 3, H, W) float32 RGB 0..255, padded right and below, and ``sizes`` (B, 2)
    h, w of the valid part; of a FastRCNN also ``proposals`` and ``proposal_scores``. Outputs:
    ``boxes`` (B, D, 4) pixels of the input, ``scores`` and ``labels`` (B, D) float32, -1 in rows
    without a detection, and ``masks`` (B, D, M, M) where there are. B, H and W are free; D is
    always the largest number of detections. The operators are those of opset 17 alone.

    Raises ExportError without the package onnx, and for an operator that ONNX has no words for;
    ConfigError where detkit's own operators cannot be compiled: the graph is traced with them.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"ONNX needs the package onnx ({error}): pip install 'detkit[onnx]'"
        ) from error
    from detkit.export.onnx.model import converted

    return converted(detector)


def save(detector, path):
    """Write ``convert(detector)`` to a file. Raises ExportError as ``convert`` does."""
    _write(convert(detector), path)


def save_int8(detector, path, dataset, count, mode=NAIVE, keep=KEEP, cpus=ANY, proposals=None):
    """Write ``convert(detector)`` with layers of 8 bits: whole numbers between QuantizeLinear and
    DequantizeLinear, which any runtime of opset 17 computes, and ONNX Runtime as one operator.

    dataset: a Dataset; up to ``count`` images from all over it tell the ranges.
    mode: "naive", of all values, or "entropy", by the divergence: ONNX Runtime's MinMax, Entropy.
    keep: patterns of the layers that stay float32, as for ``precision.quantize``.

    proposals: {image_id: boxes (R, 4)} of the dataset, for a network that takes them.
    cpus: ANY, weights of 7 bits; VNNI, of 8, with which CPUs without VNNI give wrong sums.

    Weights have a scale for each output channel. What is no layer stays float32.

    Raises ExportError as ``convert`` and ``select`` do, without ONNX Runtime and what its quantizer
    needs, without an image, and when no layer is left.
    """
    model = convert(detector)
    try:
        import onnxruntime.quantization  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"INT8 in ONNX needs ONNX Runtime's quantizer ({error}): pip install 'detkit[onnx]'"
        ) from error
    from detkit.export.onnx.quantize import quantized

    _write(quantized(detector, model, dataset, count, mode, keep, cpus, proposals), path)


def _write(model, path):
    content = model.SerializeToString()
    try:
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror}") from error
