"""The regions that layers are fitted on: their features, and a sample of many of them."""

import numpy as np
import pytest

from detkit.fitting.regions import Reservoir, features_of, images_of
from detkit.models.detectors import rcnn
from support import regions
from support.fitting import CPU, Images, features_by_hand, known


def test_objects_crowds_and_proposals_are_told_apart():
    loader = Images(count=2, difficult=[1, 4])
    found = list(images_of(regions.build(), loader, CPU, "test"))
    for image, batch in zip(found, loader.batches(0)):
        objects, labels, crowds, proposals = known(batch)
        assert image.number == batch.indices[0]
        assert image.labels.tolist() == [0, 1, 1, 2] and len(crowds) == 2
        for one, other in zip(image[2:], (objects, labels, crowds, proposals)):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("at_once", [100, 7])
def test_features_are_those_of_each_region_alone(at_once, monkeypatch):
    monkeypatch.setattr(rcnn, "REGIONS_AT_ONCE", at_once)
    model, loader = regions.build(), Images(count=1)
    (image,) = images_of(model, loader, CPU, "test")
    (batch,) = loader.batches(0)
    expected = features_by_hand(model, batch, image.proposals)
    found = features_of(model, image, image.proposals)
    for one, other in zip(found, expected):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    nothing = features_of(model, image, image.proposals[:0])
    assert [each.shape for each in nothing] == [(0, each.shape[1]) for each in expected]


def drawn(size, seed):
    reservoir = Reservoir(size, [seed])
    for start in range(0, 60, 7):
        numbers = np.arange(start, min(start + 7, 60))
        reservoir.add(numbers, numbers[:, None] * [10, 20])
    return reservoir.columns()


def test_a_sample_of_fewer_rows_than_there_are():
    numbers, products = drawn(20, 3)
    assert len(set(numbers.tolist())) == 20
    np.testing.assert_array_equal(products, numbers[:, None] * [10, 20])
    np.testing.assert_array_equal(drawn(20, 3)[0], numbers)
    assert not np.array_equal(drawn(20, 4)[0], numbers)


def test_all_rows_if_there_is_room():
    np.testing.assert_array_equal(drawn(60, 0)[0], np.arange(60))


def test_every_row_is_drawn_equally_often():
    counts = np.zeros(60)
    for seed in range(150):
        counts[drawn(20, seed)[0]] += 1
    # 50 times each; the deviation of so many draws is 5.8.
    assert counts.min() > 50 - 5 * 5.8 and counts.max() < 50 + 5 * 5.8
