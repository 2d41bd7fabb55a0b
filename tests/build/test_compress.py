"""Truncated SVD against numpy's, and what a detector finds with it."""

import mxnet as mx
import numpy as np
import pytest

from detkit.build import build_model, open_config
from detkit.build.compress import compressed, truncated
from detkit.build.load import detector_for
from detkit.errors import ConfigError
from support import backbones
from support.exports import assert_same, photos

NAMES = ("cat", "dog", "cow")
HIDDEN = "model.roi_head.hidden=[12, 10]"
CASCADE = (
    "model.roi_head=null",
    "model.type=CascadeRCNN",
    "model.roi_heads=[{type: FCHead, hidden: [12], class_agnostic: true}, "
    "{type: FCHead, hidden: [12], class_agnostic: true}]",
    "model.refine={box_weights: [[10, 10, 5, 5]]}",
    "train_step=null",
)


def detector_of(config, *overrides):
    opened = open_config(config, [HIDDEN, "model.postprocess={score_floor: 0}", *overrides])
    model = build_model(opened, NAMES, mx.cpu(), pretrained=False)
    for name, parameter in model._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            parameter.set_data(backbones.filling(name, parameter.shape))
    return detector_for(opened, model, NAMES, mx.cpu())


def weights(detector):
    named = detector.model._collect_params_with_prefix()
    return {name: parameter.data().asnumpy() for name, parameter in named.items()}


@pytest.mark.parametrize("sides", [(7, 20), (20, 7), (9, 9)])
def test_the_product_is_the_nearest_of_its_rank(sides):
    matrix = np.random.RandomState(0).standard_normal(sides).astype("float32")
    values = np.linalg.svd(matrix, compute_uv=False)
    for rank in (1, 3, 7):
        inner, outer, kept = truncated(matrix, rank)
        assert (inner.shape, outer.shape) == ((rank, sides[1]), (sides[0], rank))
        # Eckart and Young 1936: no matrix of this rank is nearer, by the norm of what is cut off.
        error = np.linalg.norm(matrix - outer @ inner)
        assert error == pytest.approx(np.linalg.norm(values[rank:]), abs=1e-5)
        assert kept == pytest.approx(1 - error**2 / np.linalg.norm(matrix) ** 2, abs=1e-5)
    assert truncated(np.zeros(sides, "float32"), 2)[2] == 1


@pytest.mark.parametrize("statistics", ["null", "{means: [0, 0.1, 0, 0], stds: [2, 2, 1, 1]}"])
def test_at_full_rank_it_finds_the_same(config, statistics):
    detector = detector_of(config, f"model.postprocess.box_statistics={statistics}")
    small, truncations = compressed(detector, {"fc6": 1.0, "fc7": 10})
    assert [each[:4] for each in truncations] == [
        ("roi_head.fc6", 12, 144, 12),
        ("roi_head.fc7", 10, 12, 10),
    ]
    assert [each.kept for each in truncations] == pytest.approx([1, 1])
    images = photos((64, 80), (50, 96))
    assert_same(small.detect(images), detector.detect(images))


def test_the_biases_stay_and_the_weights_are_the_truncated_ones(config):
    detector = detector_of(config)
    before = weights(detector)
    small, _ = compressed(detector, {"fc6": 0.25})
    found = weights(small)
    inner, outer, _ = truncated(before["roi_head.fc.0.weight"], 3)
    np.testing.assert_allclose(found.pop("roi_head.fc.0.0.weight"), inner, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.pop("roi_head.fc.0.1.weight"), outer, rtol=1e-5, atol=1e-6)
    found["roi_head.fc.0.bias"] = found.pop("roi_head.fc.0.1.bias")
    del before["roi_head.fc.0.weight"]
    assert found.keys() == before.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(found[name], array, name)
    assert small.config["model"]["roi_head"]["ranks"] == [3, None]
    assert "ranks" not in detector.config["model"]["roi_head"]


def test_a_layer_of_low_rank_gets_a_lower_one_and_the_others_keep_theirs(config):
    detector = detector_of(config)
    once, _ = compressed(detector, {"fc6": 8, "fc7": 4})
    twice, (truncation,) = compressed(once, {"fc6": 2})
    direct, _ = compressed(detector, {"fc6": 2, "fc7": 4})
    assert twice.config["model"]["roi_head"]["ranks"] == [2, 4]
    assert truncation.rank == 2
    images = photos((64, 80))
    assert_same(twice.detect(images), direct.detect(images))


def test_all_heads_of_a_cascade_are_compressed(config):
    detector = detector_of(config, *CASCADE)
    small, truncations = compressed(detector, {"fc6": 12})
    assert [each.name for each in truncations] == ["roi_heads.0.fc6", "roi_heads.1.fc6"]
    images = photos((64, 80))
    assert_same(small.detect(images), detector.detect(images))


@pytest.mark.parametrize(
    ("ranks", "fragments"),
    [
        ({"fc6": 13}, ["--ranks fc6", "1 to 12", "found 13"]),
        ({"fc7": 0}, ["--ranks fc7", "1 to 10", "found 0"]),
        ({"fc8": 2}, ["--ranks fc8", "fc6, fc7", "'fc8'", "did you mean"]),
    ],
)
def test_layers_and_ranks_are_checked(config, ranks, fragments):
    with pytest.raises(ConfigError) as raised:
        compressed(detector_of(config), ranks)
    for fragment in fragments:
        assert fragment in str(raised.value)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (["model.roi_head={type: ConvFCHead, convs: [4]}"], "model.roi_head.*FCHead.*'ConvFCHead'"),
        (
            [
                "model={type: RPN, backbone: {type: TinyBackbone}, rpn_head: {type: RPNHead}, "
                "anchors: {type: AnchorGrid, sizes: [12], ratios: [1]}}"
            ],
            "model.*a head of RoIs.*'RPN'",
        ),
    ],
)
def test_a_detector_without_such_a_head_is_refused(config, model, expected):
    opened = open_config(config, model)
    names = NAMES if "ConvFC" in model[0] else ("object",)
    network = build_model(opened, names, mx.cpu(), pretrained=False)
    with pytest.raises(ConfigError, match=expected):
        compressed(detector_for(opened, network, names, mx.cpu()), {"fc6": 2})
