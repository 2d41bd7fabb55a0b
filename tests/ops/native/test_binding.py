"""The operators of the library as MXNet's: what is said about wrong calls."""

import mxnet as mx
import pytest

from detkit import ops
from detkit.ops import backend

pytestmark = pytest.mark.processor


def arrays_of(*shapes):
    return [mx.nd.zeros(shape) for shape in shapes]


@pytest.mark.usefixtures("built_library")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.nms(mx.nd, *arrays_of((1, 3, 5), (1, 3)), 0.5), r"boxes are \(B, N, 4\)"),
        (lambda: ops.nms(mx.nd, *arrays_of((1, 3, 4), (1, 2)), 0.5), r"scores .* are \(B, N\)"),
        (
            lambda: mx.nd.detkit_nms(
                *(mx.nd.zeros((1, 3, 4)), mx.nd.zeros((1, 3), dtype="int32")),
                labelled=0,
                mode=0,
                top_k_in=-1,
                top_k_out=-1,
                iou=0.5,
                sigma=1.0,
                min_score=0.0,
            ),
            "detkit_nms, types: input 1 has to be float32 and is int32",
        ),
        (
            lambda: ops.nms(mx.nd, *arrays_of((1, 3, 4), (1, 3)), -1.0)[3].wait_to_read(),
            "detkit_nms, forward: an argument is out of range",
        ),
        (
            lambda: mx.nd.detkit_match(*arrays_of((1, 3, 4), (1, 2, 4), (1, 2))),
            "detkit_match, arguments: the argument selective is missing",
        ),
    ],
)
def test_a_wrong_call_is_explained(call, message):
    with backend.using("native"), pytest.raises(mx.MXNetError, match=message):
        call()
