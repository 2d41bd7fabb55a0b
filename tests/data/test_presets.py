"""The presets of data.augment: every one builds, and keeps objects with their pixels."""

import numpy as np
import pytest

from detkit.data import Loader
from detkit.data.presets import (
    FEW_IMAGES,
    FLIP,
    JOINED,
    LIGHT,
    MANY_IMAGES,
    MEDIUM,
    PRESETS,
    STRONG,
    following,
    preset_for,
)
from detkit.registry import TRANSFORMS
from support.painted import Painted

DATASET = Painted(6)
RESIZE = {"type": "Resize", "short": 96, "long": 160}
PROPOSALS = {
    index: np.concatenate([DATASET.annotation(index).boxes, [[3, 3, 30, 20]]]).astype("f")
    for index in range(len(DATASET))
}


def loader(preset, more=(), **options):
    """A loader whose transforms are those of a preset behind Resize and HorizontalFlip."""
    chain = [TRANSFORMS.build(node) for node in [RESIZE, FLIP, *following(preset)]]
    return Loader(DATASET, [*chain, *more], 2, seed=5, **options)


@pytest.mark.parametrize("preset", PRESETS)
def test_boxes_enclose_their_masks_and_proposals_are_moved(preset):
    seen = []

    def record(sample, rng):
        seen.append(sample)
        return sample

    options = {"masks": True, "fields": ["keypoints"], "proposals": PROPOSALS}
    for epoch in range(3):
        list(loader(preset, [record], **options).batches(epoch))
    assert len(seen) == 3 * len(DATASET)
    for sample in seen:
        height, width = sample.image.shape[:2]
        assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all() and (sample.boxes >= 0).all()
        assert sample.masks.shape == (len(sample.boxes), height, width)
        for mask, box in zip(sample.masks, sample.boxes):
            rows, columns = np.nonzero(mask)
            corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(box, corners, atol=1.5)
        assert len(sample.proposals) and (sample.proposals[:, 2:] <= [width, height]).all()
        assert sample.fields["keypoints"].points.shape[0] == len(sample.boxes)


@pytest.mark.parametrize("preset", PRESETS)
def test_an_epoch_that_is_resumed_has_the_same_pixels(preset):
    whole = list(loader(preset).batches(1))
    again = list(loader(preset, workers=2).batches(1, start=1))
    assert len(again) == len(whole) - 1
    for one, other in zip(whole[1:], again):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.boxes, other.boxes)
    other_epoch = next(loader(preset).batches(2))
    assert not np.array_equal(other_epoch.images, whole[0].images)


def test_presets_differ_and_bring_none_of_what_they_join():
    lists = [following(preset) for preset in PRESETS]
    assert all(one != other for one, other in zip(lists, lists[1:]))
    assert not {node["type"] for nodes in lists for node in nodes} & {*JOINED}


def test_a_list_can_be_changed_without_changing_the_preset():
    following(STRONG)[0]["type"] = "Another"
    assert following(STRONG)[0]["type"] != "Another"


def test_few_images_get_a_stronger_preset():
    assert [preset_for(count) for count in (1, FEW_IMAGES - 1)] == [STRONG] * 2
    assert [preset_for(count) for count in (FEW_IMAGES, MANY_IMAGES - 1)] == [MEDIUM] * 2
    assert preset_for(MANY_IMAGES) == LIGHT
