"""A dataset whose objects are all of one class, beside the dataset that it wraps."""

import numpy as np

from detkit.data import OneClass, Shapes


def test_one_class_is_made_of_all():
    shapes = Shapes(length=5, size=(64, 64))
    dataset = OneClass(shapes)
    assert dataset.class_names == ("object",)
    assert len(dataset) == 5
    assert (dataset.dropped, dataset.bad_images) == (shapes.dropped, shapes.bad_images)
    for index in range(5):
        own, theirs = dataset.annotation(index), shapes.annotation(index)
        assert own.labels.dtype == theirs.labels.dtype
        assert own.labels.tolist() == [0] * len(theirs.labels)
        np.testing.assert_array_equal(own.boxes, theirs.boxes)
        np.testing.assert_array_equal(dataset.image(index), shapes.image(index))
        np.testing.assert_array_equal(dataset.masks(index), shapes.masks(index))
    assert any(shapes.annotation(index).labels.any() for index in range(5))
