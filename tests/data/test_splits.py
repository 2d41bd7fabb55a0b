"""Splits: each image once, groups whole, every class in every part, the same under one seed."""

import numpy as np
import pytest

from detkit.data.splits import SHARES, cut_large, split_groups


def drawn(count=400, classes=5, seed=0):
    """Objects (N, K) of images, the last class in a few of them, and groups of 1 to 4 images."""
    rng = np.random.default_rng(seed)
    rates = [0.9, 0.5, 0.2, 0.1, 0.03][:classes]
    objects = (rng.random((count, classes)) < rates) * rng.integers(1, 9, (count, classes))
    borders = np.cumsum(rng.integers(1, 5, count))
    groups = np.split(rng.permutation(count), borders[borders < count])
    return objects, [sorted(group.tolist()) for group in groups]


@pytest.mark.parametrize("seed", range(5))
def test_each_image_is_in_one_part_and_groups_stay_together(seed):
    objects, groups = drawn(seed=seed)
    parts = split_groups(objects, groups, SHARES, seed)
    assert sorted(index for part in parts.values() for index in part) == list(range(400))
    for group in groups:
        assert [set(group) & set(part) for part in parts.values()].count(set()) == 2


@pytest.mark.parametrize("seed", range(5))
def test_parts_have_their_share_of_every_class(seed):
    objects, groups = drawn(seed=seed)
    parts = split_groups(objects, groups, SHARES, seed)
    images = (objects > 0).sum(axis=0)
    for name, part in parts.items():
        assert len(part) == pytest.approx(SHARES[name] * 400, abs=12)
        of_part = (objects[part] > 0).sum(axis=0)
        np.testing.assert_allclose(of_part, SHARES[name] * images, atol=4)
        assert of_part.all()


def test_the_seed_decides_and_nothing_else():
    objects, groups = drawn()
    first, again, other = (split_groups(objects, groups, SHARES, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_other_shares_and_images_without_objects():
    objects = np.zeros((100, 2), int)
    objects[:20] = 1
    parts = split_groups(objects, [[n] for n in range(100)], {"train": 3, "test": 1}, seed=0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 75, "test": 25}
    assert {name: sum(n < 20 for n in part) for name, part in parts.items()} == {
        "train": 15,
        "test": 5,
    }


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_each_part_of_a_few_images_has_an_object(count):
    objects = np.zeros((count + 3, 2), int)
    objects[:count, 0] = 1
    parts = split_groups(objects, [[n] for n in range(count + 3)], SHARES, seed=0)
    assert all(objects[part].any() for part in parts.values())


@pytest.mark.parametrize("count", [3, 4, 7])
def test_each_part_has_an_image_of_a_rare_class(count):
    objects = np.zeros((60, 2), int)
    objects[:, 0] = 1
    objects[:count, 1] = 2
    parts = split_groups(objects, [[n] for n in range(60)], SHARES, seed=0)
    found = {name: int((objects[part, 1] > 0).sum()) for name, part in parts.items()}
    assert found == {"train": count - 2, "val": 1, "test": 1}
    assert [len(part) for part in parts.values()] == [42, 9, 9]


def test_too_few_images_leave_a_part_without_objects():
    objects = np.ones((1, 1), int)
    parts = split_groups(objects, [[0]], SHARES, seed=0)
    assert parts == {"train": [0], "val": [], "test": []}


def test_a_group_of_more_than_half_of_the_images_is_cut_into_neighbours():
    objects = np.ones((100, 1), int)
    groups = [list(range(60)), [60, 61], *([n] for n in range(62, 100))]
    found = cut_large(groups, objects, 3)
    assert found.cut == 60
    assert found.groups == [[n, n + 1, n + 2] for n in range(0, 60, 3)] + groups[1:]
    assert cut_large(groups[1:], objects, 3).groups == groups[1:]


def test_groups_are_cut_if_too_few_have_objects():
    objects = np.array([[1], [1], [1], [0], [0]])
    found = cut_large([[0, 1], [2], [3, 4]], objects, 3)
    assert found == ([[0], [1], [2], [3], [4]], 4)
    assert cut_large([[0, 1], [2], [3, 4]], objects, 2) == ([[0, 1], [2], [3, 4]], 0)
