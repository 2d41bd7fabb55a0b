"""Boxes at the network's size, and how anchors fit them, beside plain loops."""

import numpy as np
import pytest

from detkit.build import build_dataset, open_config
from detkit.build.anchor_fit import (
    anchors_of,
    boxes_of,
    boxes_on_disk,
    proposed_stride,
    unmatched_by,
)
from detkit.data import Shapes
from detkit.data.sample import Annotation
from detkit.errors import ConfigError, DataError
from support import tiny
from support.projects import fast_rcnn

RESIZE = "[{type: Resize, short: 128, long: 1000}]"


class Boxes:
    """One image of 200 x 100 pixels with two objects, one of them difficult."""

    class_names = ("a",)

    def __len__(self):
        return 1

    def annotation(self, index):
        boxes = np.array([[0, 0, 20, 10], [0, 0, 90, 90]], np.float32)
        difficult = np.array([False, True])
        return Annotation("one", 200, 100, boxes, np.zeros(2, np.int32), difficult)


def test_boxes_are_measured_after_the_transforms(config):
    config = open_config(
        config, [f"data.train_transforms={RESIZE}", f"data.val_transforms={RESIZE}"]
    )
    for split in ("train", "val"):
        dataset = build_dataset(config, split)
        annotations = [dataset.annotation(index) for index in range(len(dataset))]
        sides = [one.boxes[:, 2:] - one.boxes[:, :2] for one in annotations]  # of 64 x 64 pixels
        found = boxes_of(config, split)
        assert sorted(map(tuple, found)) == sorted(map(tuple, 2 * np.concatenate(sides)))


def test_boxes_on_disk_are_scaled_and_difficult_ones_do_not_count():
    assert boxes_on_disk(Boxes(), "x").tolist() == [[20, 10]]
    assert boxes_on_disk(Boxes(), "x", short=50, long=400).tolist() == [[10, 5]]
    assert boxes_on_disk(Boxes(), "x", short=200, long=300).tolist() == [[30, 15]]
    assert boxes_on_disk(Boxes(), "x", short=60).tolist() == [[10, 5]]  # 5/3 of 60 is 100


def test_without_an_object_there_is_nothing_to_measure():
    class Empty(Shapes):
        def annotation(self, index):
            return (
                super()
                .annotation(index)
                ._replace(difficult=np.ones(1, bool), boxes=np.zeros((1, 4)))
            )

    with pytest.raises(DataError, match="x: expected objects"):
        boxes_on_disk(Empty(length=2), "x")


def test_the_anchors_are_those_that_the_network_has(config):
    anchors = anchors_of(open_config(config), ["a"])
    assert anchors.sides.tolist() == [[12, 12], [24, 24]]
    assert (anchors.strides, anchors.is_grid) == ((8,), True)
    boxes = np.array([[12, 12], [24, 12], [30, 90], [5, 5]])
    # IoU 1; 0.5; 576 / (576 + 2700 - 576) = 0.21; 25 / 144.
    assert unmatched_by(boxes, anchors.sides) == 0.5


def test_a_detector_without_anchors_is_refused(config, tmp_path):
    with pytest.raises(ConfigError) as caught:
        anchors_of(open_config(config, fast_rcnn(tmp_path, config)), ["a"])
    tiny.assert_says(str(caught.value), "model.type", "FastRCNN", "anchors")


@pytest.mark.parametrize(
    ("side", "stride"), [(4, 4), (8, 4), (15, 4), (16, 8), (40, 16), (900, 32)]
)
def test_a_small_object_covers_two_cells(side, stride):
    assert proposed_stride(np.full((10, 2), side)) == stride
