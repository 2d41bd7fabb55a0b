"""INT8 in ONNX by NNCF, OpenVINO's quantizer: it also corrects the biases of the layers.

The layers with 8 bits are those of quantize.py. All other operators are named to NNCF as ignored:
it would otherwise also look at RoIAlign, of whose levels some have no RoI in any image.
"""

import contextlib
import io
import logging
from typing import Any, Dict, Mapping, Optional, Sequence

import nncf
import numpy as np
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
from onnx import helper

from detkit.data.sample import Dataset
from detkit.detector import Detector
from detkit.errors import ExportError
from detkit.export.graph.layer_names import no_layer_left
from detkit.export.manifest import VNNI
from detkit.export.onnx.quantize import layer_names
from detkit.export.precision.calibrate import NO_IMAGE
from detkit.export.precision.precisions import examples_of


def quantized_by_nncf(
    detector: Detector,
    model: Any,
    dataset: Dataset,
    count: int,
    keep: Sequence[str],
    cpus: str,
    proposals: Optional[Mapping[Any, np.ndarray]] = None,
) -> Any:
    """Returns an onnx.ModelProto in INT8.

    model: the ModelProto that ``convert`` made of the Detector. The other arguments and the errors
    are those of detkit.export.onnx.save_nncf.
    """
    if not len(dataset):
        raise ExportError(NO_IMAGE)
    layers = layer_names(detector, keep)
    others = [node.name for node in model.graph.node if node.name not in layers]
    if len(others) == len(model.graph.node):
        raise no_layer_left("INT8", keep)
    names = detector.model.INPUTS
    examples: Sequence[Dict[str, np.ndarray]] = [
        dict(zip(names, example)) for example in examples_of(detector, dataset, count, proposals)
    ]
    # Weights of 7 bits, because CPUs without VNNI add two products in 16 bits.
    fix = OverflowFix.DISABLE if cpus == VNNI else OverflowFix.ENABLE
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints bars
        result = nncf.quantize(
            model,
            nncf.Dataset(examples),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(examples),
            ignored_scope=nncf.IgnoredScope(names=others, validate=False),
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=fix),
        )
    helper.set_model_props(result, {entry.key: entry.value for entry in model.metadata_props})
    return result
