"""detkit's detectors with torchvision's weights against what torchvision gave with them.

The golden files hold torchvision's results on weights and images that fill.py makes out of nothing.
"""

import importlib.util

import mxnet as mx
import numpy as np
import pytest

from detkit.converters import from_torchvision
from support.environment import SHARED
from support.oracles import iou_matrix

PARITY = SHARED / "parity"
GOLDEN = [
    "fasterrcnn_mobilenet_v3_large_fpn_1",
    "fasterrcnn_resnet50_fpn_1",
    "fasterrcnn_resnet50_fpn_5",
    "fasterrcnn_resnet50_fpn_v2_1",
    "keypointrcnn_resnet50_fpn_1",
    "maskrcnn_resnet50_fpn_1",
    "retinanet_resnet50_fpn_1",
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PARITY.is_dir(), reason=f"{PARITY} is not there"),
]


@pytest.fixture(scope="module")
def fill():
    """The module that makes weights and images."""
    spec = importlib.util.spec_from_file_location("fill", PARITY / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=GOLDEN)
def golden(request, fill):
    """A golden file, the detector of its weights, and its images."""
    with np.load(PARITY / f"golden_{request.param}.npz") as file:
        expected = dict(file)
    shapes = [[int(side) for side in shape.split(",") if side] for shape in expected["shapes"]]
    state = fill.fill(dict(zip(expected["names"], shapes)), float(expected["gain"]))
    images = [
        fill.image(h, w, int(expected["seed"]) + index)
        for index, (h, w) in enumerate(expected["sizes"])
    ]
    name, _, _ = request.param.rpartition("_")
    return expected, from_torchvision(name, state, labels="torchvision"), images


@pytest.fixture(scope="module")
def found(golden):
    """What the detector found in each image."""
    _, detector, images = golden
    return detector.detect(images)


def matches(expected, index, found):
    """Which of torchvision's detections in an image are which of ours: (theirs, ours) of bool."""
    boxes, scores, labels = (expected[f"{k}_{index}"] for k in ("boxes", "scores", "labels"))
    return (
        (labels[:, None] == found.labels)
        & (iou_matrix(boxes, found.boxes) >= 0.99)
        & (np.abs(scores[:, None] - found.scores) <= 1e-3)
    )


def levels(expected):
    """feature_*_... of every map, finest first."""
    return [key[:-6] for key in expected if key.startswith("feature_") and key.endswith("_shape")]


def test_features(golden):
    expected, detector, images = golden
    batch = detector.batch(images)
    maps = detector.model.features(mx.nd.array(batch.images), mx.nd.array(batch.sizes))
    assert len(maps) == len(levels(expected))
    for found, level in zip(maps, levels(expected)):
        found = found.asnumpy()
        assert found.shape == tuple(expected[f"{level}_shape"])
        assert found.mean() == pytest.approx(expected[f"{level}_mean"], abs=1e-3)
        assert found.std() == pytest.approx(expected[f"{level}_std"], abs=1e-3)
        corner = expected[f"{level}_corner"]
        height, width = corner.shape[2:]
        np.testing.assert_allclose(found[:, :8, :height, :width], corner, atol=1e-3)


def test_detections(golden, found):
    expected, _, _ = golden
    for index, one in enumerate(found):
        assert len(one.boxes) == len(expected[f"boxes_{index}"])
        assert matches(expected, index, one).any(axis=1).mean() >= 0.98


@pytest.mark.parametrize("golden", ["maskrcnn_resnet50_fpn_1"], indirect=True)
def test_masks(golden, found):
    expected, _, images = golden
    for index, (image, one) in enumerate(zip(images, found)):
        theirs = expected[f"masks_{index}"][:, 0].astype("float32")
        assert one.masks.shape == (len(one.boxes), *image.shape[:2])
        assert one.mask_probs.shape == (len(one.boxes), 28, 28)
        matched = matches(expected, index, one)[: len(theirs)]
        assert matched.any(axis=1).all()
        for box, mask, own in zip(expected[f"boxes_{index}"], theirs, matched):
            x1, y1, x2, y2 = np.append(np.floor(box[:2]), np.ceil(box[2:])).astype(int)
            difference = np.abs(one.mask(np.argmax(own)) - mask)
            assert difference[y1:y2, x1:x2].mean() <= 2e-3  # float16 in the file


@pytest.mark.parametrize("golden", ["keypointrcnn_resnet50_fpn_1"], indirect=True)
def test_keypoints(golden, found):
    """Of heatmaps of noise; torchvision resizes each of them and takes the largest pixel."""
    expected, _, _ = golden
    for index, one in enumerate(found):
        theirs = expected[f"keypoints_{index}"][..., :2]
        matched = matches(expected, index, one)
        assert one.keypoints.shape == (len(one.boxes), 17, 3)
        assert len(one.skeleton) == 19
        apart = [
            np.abs(points - one.keypoints[np.argmax(own), :, :2]).max(axis=1)
            for points, own in zip(theirs, matched)
            if own.any()
        ]
        assert len(apart) >= 0.98 * len(theirs)
        assert (np.array(apart) <= 0.5).mean() >= 0.99
        assert ((one.keypoints[..., 2] > 0) & (one.keypoints[..., 2] <= 1)).all()
