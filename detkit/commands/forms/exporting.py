"""Writes every form of a checkpoint that this machine can write: symbols and .onnx files."""

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from detkit.build import build_dataset
from detkit.commands.arguments.export import CALIBRATION
from detkit.config import Config
from detkit.detector import Detector
from detkit.errors import CheckpointError, DetkitError
from detkit.export.manifest import BFLOAT16, FLOAT32, INT8
from detkit.export.onnx import save, save_int8, save_nncf
from detkit.export.precision.precisions import BFloat16, Int8, examples_of
from detkit.export.runtimes.names import ONNX, ONNX_INT8, ONNX_NNCF
from detkit.export.symbol import export
from detkit.loading import load
from detkit.ops import backend
from detkit.processor import describe, has_bfloat16


class Written(NamedTuple):
    """The paths of the forms, and a line about each that is left out."""

    paths: List[str]
    left_out: List[str]


def write_forms(
    config: Config, checkpoint: str, folder: str, calibration: Optional[int] = None
) -> Written:
    """Writes the forms of a checkpoint into a folder.

    calibration: the number of images of data.train for INT8.

    A form that needs something which is not here, such as the package onnx or the images of
    data.train, is left out. Raises ExportError if the detector cannot be exported at all, and
    CheckpointError for one that takes proposals.
    """
    detector = load(config, checkpoint, device="cpu")
    if detector.takes_proposals:
        raise CheckpointError(
            f"{checkpoint}: expected a detector that makes its own proposals, found {detector.name}"
        )
    written = Written([], [])
    for name, write in _writers(detector, config, calibration or CALIBRATION).items():
        path = os.path.join(folder, name)
        print(f"writing {name}", flush=True)
        try:
            write(path)
        except DetkitError as error:
            if name == FLOAT32:
                raise
            written.left_out.append(f"{name}: {error}")
        else:
            written.paths.append(path)
    if not has_bfloat16():
        written.left_out.append(f"{BFLOAT16}: {describe()} has no bfloat16")
    return written


def _writers(detector: Detector, config: Config, images: int) -> Dict[str, Callable[[str], Any]]:
    """Returns {name: a function that writes the form to a path}, those in float32 first."""
    ops = backend.choose().name

    def int8(path: str) -> None:
        examples = examples_of(detector, build_dataset(config, "train"), images)
        export(detector, path, ops, precision=Int8(examples))

    def bfloat16(path: str) -> None:
        export(detector, path, ops, precision=BFloat16())

    def onnx_int8(path: str) -> None:
        save_int8(detector, path, build_dataset(config, "train"), images)

    def onnx_nncf(path: str) -> None:
        save_nncf(detector, path, build_dataset(config, "train"), images)

    return {
        FLOAT32: lambda path: export(detector, path, ops),
        **({BFLOAT16: bfloat16} if has_bfloat16() else {}),
        INT8: int8,
        ONNX: lambda path: save(detector, path),
        ONNX_INT8: onnx_int8,
        ONNX_NNCF: onnx_nncf,
    }
