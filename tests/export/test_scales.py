"""A min_size in pixels of the image on disk: the third input of detectors and of their exports."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.data import Shapes
from detkit.export.precision.precisions import Int8, examples_of
from detkit.models import Proposals
from support.environment import BACKENDS
from support.exports import KINDS, assert_same, detector_of, exported, photos
from support.onnx_runs import ONNX, assert_agree

pytestmark = pytest.mark.processor
SCALES = {(80, 100): 0.5, (20, 30): 2.0}  # of images whose short side becomes 40 pixels
SMALLEST = 12.0  # pixels of the image
PROPOSING = [kind for kind in KINDS if kind != "RetinaNet"]


def model_of(small_model, kind, **options):
    proposals = Proposals(6000, 20, **{"min_size": SMALLEST, "min_size_of": "image", **options})
    return KINDS[kind](partial(small_model, proposals=proposals))


def expected_detections(small_model, kind, images, **options):
    """What a detector finds whose min_size is that of each image alone."""
    found = []
    for image in images:
        smallest = SMALLEST * SCALES[image.shape[:2]]
        model = model_of(small_model, kind, min_size=smallest, min_size_of="input", **options)
        found.append(detector_of(model).detect(image))
    return found


@pytest.mark.parametrize("all_levels", [False, True])
@pytest.mark.parametrize("kind", PROPOSING)
def test_small_boxes_are_those_of_each_image(small_model, kind, all_levels):
    images = photos(*SCALES)
    model = model_of(small_model, kind, all_levels=all_levels)
    assert model.INPUTS == ("images", "sizes", "scales")
    assert type(model).INPUTS == ("images", "sizes")
    for hybridized in (False, True):
        model.hybridize(hybridized)
        found = detector_of(model).detect(images)
        assert_same(found, expected_detections(small_model, kind, images, all_levels=all_levels))
    plain = detector_of(model_of(small_model, kind, min_size_of="input")).detect(images)
    assert [one.boxes.tolist() for one in found] != [one.boxes.tolist() for one in plain]


@pytest.mark.parametrize("ops", BACKENDS)
@pytest.mark.parametrize("kind", PROPOSING)
def test_an_export_takes_the_scales(small_model, tmp_path, kind, ops):
    images = photos(*SCALES)
    exported(model_of(small_model, kind), tmp_path, ops)
    loaded = detkit.load_exported(tmp_path)
    assert loaded.manifest.inputs == ["images", "sizes", "scales"]
    expected = expected_detections(small_model, kind, images)
    assert_same(loaded.detect(images), expected)
    assert_same([loaded.detect(image) for image in images], expected)


@ONNX
@pytest.mark.parametrize("kind", PROPOSING)
def test_onnx_takes_the_scales(small_model, images, kind):
    batches = [
        (*images((64, 80)), np.float32([[0.5, 0.4]])),
        (*images((50, 96), (96, 70), canvas=(96, 96)), np.float32([[2, 1.9], [0.3, 0.3]])),
    ]
    assert_agree(model_of(small_model, kind), *batches)


@pytest.mark.parametrize("ops", BACKENDS)
def test_a_calibration_takes_the_scales(small_model, tmp_path, ops):
    model, images = model_of(small_model, "FasterRCNN"), photos(*SCALES)
    precision = Int8(examples_of(detector_of(model), Shapes(2, size=(80, 100)), 2))
    exported(model, tmp_path, ops, precision)
    loaded = detkit.load_exported(tmp_path)
    assert loaded.manifest.inputs == ["images", "sizes", "scales"]
    expected = expected_detections(small_model, "FasterRCNN", images)
    for found, other in zip(loaded.detect(images), expected):
        assert len(found.boxes) > 0
        np.testing.assert_allclose(found.scores.max(), other.scores.max(), rtol=0, atol=0.1)


def test_it_is_no_other_network(small_model):
    """The two kinds of proposals have the same weights."""
    models = [model_of(small_model, "FasterRCNN", min_size_of=of) for of in ("image", "input")]
    names = [sorted(model._collect_params_with_prefix()) for model in models]
    assert names[0] == names[1]
    images, sizes = mx.nd.ones((1, 3, 64, 64)), mx.nd.array([[64, 64]])
    same = [models[0](images, sizes, mx.nd.ones((1, 2))), models[1](images, sizes)]
    for one, other in zip(*same):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=1e-5, atol=1e-4)
