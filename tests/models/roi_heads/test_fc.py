"""The fully connected RoI head, its layers of low rank among them, in numpy."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest

from detkit.errors import WeightsError
from detkit.models.roi_heads import FCHead
from support import backbones
from support.refusals import assert_refused

HIDDEN, RANKS = (7, 5), (3, None)


def features():
    return np.random.RandomState(0).standard_normal((2, 4, 3, 3)).astype("float32")


def weights(head):
    return {n: p.data().asnumpy() for n, p in head._collect_params_with_prefix().items()}


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_layer_of_low_rank_is_two_with_one_bias(hybridized):
    head = backbones.fill(FCHead(4, 3, 2, hidden=HIDDEN, ranks=RANKS))
    head.hybridize(hybridized)
    w = weights(head)
    x = features().reshape(2, -1)
    x = np.maximum(x @ w["fc.0.0.weight"].T @ w["fc.0.1.weight"].T + w["fc.0.1.bias"], 0)
    x = np.maximum(x @ w["fc.2.weight"].T + w["fc.2.bias"], 0)  # fc.1 is the dropout
    logits, deltas = (found.asnumpy() for found in head(mx.nd.array(features())))
    expected = x @ w["classes.weight"].T + w["classes.bias"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    expected = (x @ w["boxes.weight"].T + w["boxes.bias"]).reshape(2, 2, 4)
    np.testing.assert_allclose(deltas, expected, rtol=1e-4, atol=1e-5)


def test_sides_of_layers_with_and_without_a_rank():
    shapes = backbones.torch_shapes(FCHead(4, 3, 2, hidden=HIDDEN, ranks=RANKS))
    layers = {name: shape for name, shape in shapes.items() if name.startswith("fc.")}
    assert layers == {
        "fc.0.0.weight": (3, 36),
        "fc.0.1.weight": (7, 3),
        "fc.0.1.bias": (7,),
        "fc.2.weight": (5, 7),
        "fc.2.bias": (5,),
    }


@pytest.mark.parametrize(
    ("ranks", "fragments"),
    [
        ([3], ["each of 2 layers"]),
        ([8, None], ["fc6: ", "1 to 7", "found 8"]),
        ([None, 0], ["fc7: ", "1 to 5", "found 0"]),
    ],
)
def test_ranks_are_checked(ranks, fragments):
    with pytest.raises(ValueError, match="^ranks: ") as raised:
        FCHead(4, 3, 2, hidden=HIDDEN, ranks=ranks)
    for fragment in fragments:
        assert fragment in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "fragment"), [({"hidden": [0]}, "at least 1"), ({"dropout": 1}, "[0, 1)")]
)
def test_other_arguments_are_checked(wrong, fragment):
    assert_refused(partial(FCHead, 4, 3, 2), fragment, **wrong)


def test_a_file_of_weights_is_for_layers_of_full_rank():
    block, names = FCHead(4, 3, 2, hidden=HIDDEN).pretrained_part()
    assert list(names.values()) == [
        f"classifier.{n}.{k}" for n in (0, 3) for k in ("weight", "bias")
    ]
    assert set(names) == set(backbones.torch_shapes(block))
    with pytest.raises(WeightsError, match=r"full rank.*ranks \[3, None\].*compress"):
        FCHead(4, 3, 2, hidden=HIDDEN, ranks=RANKS).pretrained_part()
