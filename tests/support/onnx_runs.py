"""Networks by MXNet and, converted, by ONNX Runtime."""

import importlib.util

import mxnet as mx
import numpy as np
import pytest

from detkit.export.onnx import convert
from support.environment import OPERATORS
from support.exports import detector_of

MISSING = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
if OPERATORS.name != "native":
    MISSING.append("detkit's own operators")
ONNX = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

PADDING = {"boxes": 0, "scores": -1, "labels": -1}


def runs(detector, *batches):
    """Of each batch, a tuple of arrays: ONNX's names, and what ONNX Runtime and MXNet give."""
    import onnx
    import onnxruntime

    model = convert(detector)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
    names = [output.name for output in session.get_outputs()]
    network = detector.model
    for batch in batches:
        expected = network(*map(mx.nd.array, batch))
        expected = expected if isinstance(expected, (list, tuple)) else [expected]
        found = session.run(None, dict(zip(network.INPUTS, batch)))
        yield names, found, [each.asnumpy() for each in expected]


def assert_agree(model, *batches, **options):
    """ONNX Runtime gives what MXNet does for every batch of arrays; what MXNet gives."""
    given = []
    for names, found, expected in runs(detector_of(model, **options), *batches):
        assert names == list(model.OUTPUTS[: len(expected)])
        for name, one, other in zip(names, found, expected):
            rows = other.shape[1]  # MXNet has fewer where there are too few candidates
            tolerance = 0.01 if name == "boxes" else 1e-4
            np.testing.assert_allclose(one[:, :rows], other, rtol=0, atol=tolerance, err_msg=name)
            if name in PADDING:
                assert (one[:, rows:] == PADDING[name]).all()
        given.append(expected)
    return given


def assert_detections_agree(model, images, padded=((50, 96), (96, 70)), **options):
    """The same of an image, and of two images with the sizes ``padded``."""
    batches = images((64, 80)), images(*padded, canvas=(96, 96))
    for expected in assert_agree(model, *batches, **options):
        assert (expected[1] >= 0).any(axis=1).all()
