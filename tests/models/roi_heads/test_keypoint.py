"""KeypointHead against MXNet's operators and numpy."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest

from detkit.keypoints import PERSON_SKELETON
from detkit.models.roi_heads import KeypointHead
from detkit.models.roi_heads.keypoint import doubled
from detkit.registry import HEADS
from support import backbones
from support.refusals import assert_refused


def test_the_defaults_are_cocos_person():
    head = KeypointHead(6, 14, num_classes=3)
    assert (head.size, head.num_keypoints, head.skeleton) == (56, 17, PERSON_SKELETON)
    expected = {f"convs.{number}.0": (512, 512, 3, 3) for number in range(1, 8)}
    expected.update({"convs.0.0": (512, 6, 3, 3), "heatmaps": (512, 17, 4, 4)})
    assert backbones.torch_shapes(head) == {
        **{f"{name}.weight": shape for name, shape in expected.items()},
        **{f"{name}.bias": (17 if name == "heatmaps" else 512,) for name in expected},
    }


def test_the_heatmaps_are_those_of_the_paper():
    head = backbones.fill(KeypointHead(6, 5, 3, num_keypoints=4, convs=2, channels=7))
    values = {name: p.data() for name, p in head._collect_params_with_prefix().items()}
    features = hidden = mx.nd.random.normal(shape=(3, 6, 5, 5))
    for number in range(2):
        layer = (values[f"convs.{number}.0.{kind}"] for kind in ("weight", "bias"))
        hidden = mx.nd.relu(
            mx.nd.Convolution(hidden, *layer, kernel=(3, 3), pad=(1, 1), num_filter=7)
        )
    half = mx.nd.Deconvolution(
        hidden,
        values["heatmaps.weight"],
        values["heatmaps.bias"],
        kernel=(4, 4),
        stride=(2, 2),
        pad=(1, 1),
        num_filter=4,
        no_bias=False,
    )
    whole = mx.nd.contrib.BilinearResize2D(half, height=20, width=20, align_corners=False)
    for _ in range(2):
        found = head(features)
        assert found.shape == (3, 4, 20, 20)
        np.testing.assert_allclose(found.asnumpy(), whole.asnumpy(), rtol=1e-4, atol=1e-4)
        head.hybridize()


def test_doubling_is_linear():
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    for axis in (2, 3):
        length = maps.shape[axis]
        at = np.clip((np.arange(2 * length) + 0.5) / 2 - 0.5, 0, length - 1)
        low = np.minimum(np.floor(at).astype(int), length - 2)
        share = (at - low).reshape(-1, *[1] * (3 - axis))
        expected = maps.take(low, axis) * (1 - share) + maps.take(low + 1, axis) * share
        found = doubled(mx.nd, mx.nd.array(maps), axis)
        np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-5, atol=1e-6)


def test_logits_are_small_at_first():
    """The cross entropy of a new head is near that of a guess, log of the cells."""
    mx.random.seed(0)
    head = KeypointHead(32, 7, 1, convs=2, channels=64)
    head.initialize()
    logits = head(mx.nd.random.normal(shape=(8, 32, 7, 7)))
    assert 0.05 < logits.asnumpy().std() < 2


@pytest.mark.parametrize("norm", ["BN", "GN"])
def test_norms_are_after_each_convolution(norm):
    head = KeypointHead(32, 4, 1, num_keypoints=2, convs=2, channels=32, norm=norm)
    names = backbones.torch_shapes(head)
    assert {"convs.0.1.weight", "convs.1.1.weight"} < set(names)
    assert "convs.0.0.bias" not in names


def test_a_config_sets_the_groups_of_its_norm():
    norm = {"type": "GN", "groups": 4}
    node = {"type": "KeypointHead", "num_keypoints": 2, "convs": 1, "channels": 8, "norm": norm}
    head = HEADS.build(node, in_channels=4, in_size=4, num_classes=1)
    other = KeypointHead(4, 4, 1, num_keypoints=2, convs=1, channels=8, norm=norm)
    assert backbones.torch_shapes(head) == backbones.torch_shapes(other)


def test_a_skeleton_of_ones_own():
    skeleton = [[0, 3], [1, 2]]
    assert KeypointHead(4, 4, 1, num_keypoints=4, skeleton=skeleton).skeleton == ((0, 3), (1, 2))
    assert KeypointHead(4, 4, 1, num_keypoints=4).skeleton == ()
    assert KeypointHead(4, 4, 1, skeleton=[]).skeleton == ()


@pytest.mark.parametrize(
    ("wrong", "fragment"),
    [
        ({"num_keypoints": 0}, "1 to 512"),
        ({"num_keypoints": 513}, "1 to 512"),
        ({"channels": 0}, "at least 1"),
        ({"convs": -1}, "at least 0"),
        ({"skeleton": [[0, 17]]}, "from 0 to 16"),
        ({"skeleton": [[2, 2]]}, "different"),
        ({"skeleton": [[0, 1, 2]]}, "pairs"),
    ],
)
def test_senseless_arguments_are_refused(wrong, fragment):
    assert_refused(partial(KeypointHead, 4, 4, 1), fragment, **wrong)
