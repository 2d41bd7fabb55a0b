"""Exports a detector as an ONNX model, which runs without MXNet (ONNX Runtime, TensorRT, ...).

    model.py      a Detector -> an onnx.ModelProto
    translate.py  the table of translators, one for each operator of MXNet or detkit, and their
                  arguments; the translators are in layers.py, elementwise.py, shapes.py,
                  detection.py (NMS, proposals) and roi.py
    builder.py    the ONNX graph that they add to
    quantize.py   the model in INT8, by ONNX Runtime's quantizer
    by_nncf.py    the same by NNCF

A translator is one small function. An operator of detkit (detkit/ops) is translated as a whole.
"""

import os
from typing import Any, Mapping, Optional, Sequence, Union

import numpy as np

from detkit.data.sample import Dataset
from detkit.detector import Detector
from detkit.errors import ExportError
from detkit.export.manifest import ANY
from detkit.export.precision.calibrate import NAIVE
from detkit.export.precision.quantize import KEEP
from detkit.wording import install

PathName = Union[str, "os.PathLike[str]"]


def convert(detector: Detector) -> Any:
    """Returns the onnx.ModelProto of a Detector.

    The inputs are ``images`` (B, 3, H, W), float32 RGB in [0, 255], padded at the right and bottom,
    and ``sizes`` (B, 2), the h and w of the valid part in pixels. A FastRCNN also has ``proposals``
    (B, R, 4) and ``proposal_scores`` (B, R). A network whose proposals have a ``min_size_of`` the
    image also has ``scales`` (B, 2), x and y: the size in pixels of the input divided by the
    original size. The outputs are ``boxes`` (B, D, 4) in pixels of the input, ``scores`` and
    ``labels`` (B, D) float32, which are -1 in rows without a detection, and ``masks`` (B, D, M, M)
    or the logits ``heatmaps`` (B, D, J, M, M) if the network has such a head. B, H and W are free,
    and D is the largest number of detections. All operators belong to opset 17.

    Raises ExportError if the package onnx is missing, and for an operator that ONNX cannot express.
    Raises ConfigError if detkit's own operators cannot be compiled, of which the graph is made.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"ONNX: expected the package onnx, found none ({error}); {install('onnx')}"
        ) from error
    from detkit.export.onnx.model import converted

    return converted(detector)


def save(detector: Detector, path: PathName) -> None:
    """Writes ``convert(detector)`` to a file and raises the errors of ``convert``."""
    _write(convert(detector), path)


def save_int8(
    detector: Detector,
    path: PathName,
    dataset: Dataset,
    count: int,
    mode: str = NAIVE,
    keep: Sequence[str] = KEEP,
    cpus: str = ANY,
    proposals: Optional[Mapping[Any, np.ndarray]] = None,
) -> None:
    """Writes ``convert(detector)`` with layers of 8 bits, between QuantizeLinear, DequantizeLinear.

    Any runtime of opset 17 can compute the model. ONNX Runtime computes such a layer as one
    operator. The weights have a scale for each output channel. The operators that are no layers
    stay float32.

    dataset, count: up to ``count`` images, spread evenly over the dataset, for the calibration.
    mode: "naive" takes the range of all values, "entropy" the one of the smallest divergence; these
        are MinMax and Entropy of ONNX Runtime.
    keep: patterns of the layers that stay float32, see ``select``.
    cpus: ANY, weights of 7 bits; VNNI, weights of 8 bits, whose sums are wrong on other CPUs.
    proposals: {image_id: boxes (R, 4)} of the dataset, for a network that takes them.

    Raises the errors of ``convert`` and ``select``, and ExportError if ONNX Runtime's quantizer
    cannot be imported, the dataset has no image, or no layer is left.
    """
    model = convert(detector)
    try:
        import onnxruntime.quantization  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"INT8 in ONNX: expected ONNX Runtime's quantizer, found none ({error}); "
            f"{install('onnx')}"
        ) from error
    from detkit.export.onnx.quantize import quantized

    _write(quantized(detector, model, dataset, count, mode, keep, cpus, proposals), path)


def save_nncf(
    detector: Detector,
    path: PathName,
    dataset: Dataset,
    count: int,
    keep: Sequence[str] = KEEP,
    cpus: str = ANY,
    proposals: Optional[Mapping[Any, np.ndarray]] = None,
) -> None:
    """Writes ``convert(detector)`` with the same layers of 8 bits, whose ranges NNCF chooses.

    NNCF is OpenVINO's quantizer. It also corrects the biases for the errors of the weights. All
    images of the calibration are in memory. The arguments are those of ``save_int8``.

    Raises the errors of ``save_int8``, and ExportError without the package nncf.
    """
    try:
        import nncf  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"INT8 by NNCF: expected the package nncf, found none ({error}); {install('nncf')}"
        ) from error
    model = convert(detector)
    from detkit.export.onnx.by_nncf import quantized_by_nncf

    _write(quantized_by_nncf(detector, model, dataset, count, keep, cpus, proposals), path)


def _write(model: Any, path: PathName) -> None:
    content = model.SerializeToString()
    try:
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be written: {error.strerror}; name another file, or make its folder"
        ) from error
