"""Networks by MXNet and, converted, by ONNX Runtime."""

import importlib.util

import mxnet as mx
import pytest

from detkit.export.onnx import convert
from support.environment import OPERATORS

MISSING = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
if OPERATORS.name != "native":
    MISSING.append("detkit's own operators")
ONNX = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


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
