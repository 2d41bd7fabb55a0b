"""Pictures of the truth: where the colours are, at the size of the picture."""

import numpy as np

from detkit.data import Shapes
from detkit.data.batch import make_batch
from detkit.data.keypoints import FIELD
from detkit.data.pictures import (
    LARGE,
    SMALL,
    batch_pictures,
    sample_with_all,
    truth_picture,
)
from detkit.data.sample import Sample
from detkit.detections.draw import colour_of

GREY = 100


def sample(side=400, difficult=(False, True), **more):
    boxes = np.array([[40, 80, 200, 240], [220, 80, 380, 240]], np.float32) * side / 400
    labels = np.array([2, 0], np.int32)
    image = np.full((side, side, 3), GREY, np.uint8)
    return Sample("a", image, boxes, labels, np.array(difficult), **more)


def colours(picture):
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def test_an_object_has_the_colour_of_its_class_and_a_difficult_one_is_dashed():
    drawn = truth_picture(sample(), ["a", "b", "c"])
    assert drawn[160, 40].tolist() == list(colour_of(2))  # the left side of the first box
    assert drawn[160, 120].tolist() == [GREY] * 3  # its inside
    assert tuple(colour_of(0)) not in colours(drawn)
    side = drawn[80:240, 220].tolist()
    assert {tuple(pixel) for pixel in side} == {(0, 0, 0), (255, 255, 255)}


def test_masks_are_tinted():
    masks = np.zeros((2, 400, 400), np.uint8)
    masks[0, 100:200, 60:180] = 1
    drawn = truth_picture(sample(difficult=(False, False), masks=masks), ["a", "b", "c"])
    tinted = np.rint(GREY * 0.55 + 0.45 * np.array(colour_of(0)))
    assert np.abs(drawn[150, 120] - tinted).max() <= 1
    assert drawn[150, 190].tolist() == [GREY] * 3


def test_pictures_have_readable_sizes():
    for side, expected in ((64, SMALL), (800, 800), (1600, LARGE)):
        assert truth_picture(sample(side), ["a", "b", "c"]).shape == (expected, expected, 3)


def test_a_long_name_is_cut():
    names = ["a", "b", "c" * 10_000]
    cut = [name[:40] for name in names]
    assert (truth_picture(sample(), names) == truth_picture(sample(), cut)).all()


def test_a_batch_is_drawn_without_its_padding():
    shapes = Shapes(length=3, size=(64, 96), empty=0)
    small = Shapes(length=1, size=(48, 64), empty=0, seed=3)
    samples = [sample_with_all(shapes, 1, []), sample_with_all(small, 0, [])]
    samples[0].difficult[0] = True
    batch = make_batch(samples, [(64, 96), (48, 64)])
    drawn = batch_pictures(batch, shapes.class_names, 5)
    for picture, one in zip(drawn, samples):
        assert (picture == truth_picture(one, shapes.class_names)).all()
    assert len(batch_pictures(batch, shapes.class_names, 1)) == 1


def test_a_sample_has_what_its_dataset_has():
    shapes = Shapes(length=3, size=(64, 64), empty=0)
    dropped = []
    one = sample_with_all(shapes, 1, dropped)
    assert (one.masks == shapes.masks(1)).all()
    assert (one.fields[FIELD].points == shapes.field(FIELD, 1).points).all()
    plain = one._replace(fields={}, masks=None)
    names = shapes.class_names
    with_points, without = truth_picture(one, names), truth_picture(plain, names)
    assert (with_points != without).any()
    assert dropped == []
