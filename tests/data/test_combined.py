"""Datasets made of datasets: parts, repetitions, balanced classes and several in one."""

import numpy as np
import pytest

from detkit.build import build_dataset
from detkit.config import load_config
from detkit.data import ClassBalanced, Concat, Loader, Repeat, Shapes, Subset
from detkit.data.combined import repeat_factors
from detkit.data.sample import Annotation
from detkit.errors import ConfigError, DataError
from support import tiny
from support.pictures import Pictures


class Labelled(Pictures):
    """A dataset in memory: image i has the objects of labels[i]; `flags` are difficult."""

    def __init__(self, labels, class_names, first=0, flags=()):
        super().__init__([(16, 16)] * len(labels), bad_images=[("x", "is empty")])
        self.labels, self.class_names = labels, class_names
        self.first, self.flags = first, set(flags)

    def annotation(self, index):
        labels = np.array(self.labels[index], np.int32)
        boxes = np.array([[0, 0, 5, 5]] * len(labels), np.float32).reshape(-1, 4)
        difficult = np.full(len(labels), index in self.flags)
        return Annotation(self.first + index, 16, 16, boxes, labels, difficult)


def ids(dataset):
    return [dataset.annotation(index).image_id for index in range(len(dataset))]


def test_a_subset_grows_without_losing_images():
    shapes = Shapes(30)
    small, large = (Subset(shapes, count, seed=4) for count in (5, 12))
    assert len(small) == 5 and set(ids(small)) < set(ids(large)) < set(ids(shapes))
    assert ids(large) == sorted(ids(large)) and ids(large) != ids(Subset(shapes, 12, seed=5))
    for index, image_id in enumerate(ids(small)):
        place = ids(shapes).index(image_id)
        np.testing.assert_array_equal(small.image(index), shapes.image(place))
        np.testing.assert_array_equal(small.masks(index), shapes.masks(place))
        points = small.field("keypoints", index).points
        np.testing.assert_array_equal(points, shapes.field("keypoints", place).points)
    assert (small.class_names, small.keypoint_names) == (shapes.class_names, shapes.keypoint_names)


def test_a_subset_has_the_faults_of_its_images_alone():
    whole = Labelled([[0]] * 9, ("cat",))
    whole.dropped = [(index, "outside") for index in range(9)]
    part = Subset(whole, 3)
    assert [image_id for image_id, _ in part.dropped] == ids(part) and part.bad_images == []
    again = Repeat(whole, 2)
    assert (again.dropped, again.bad_images) == (whole.dropped, whole.bad_images)


def test_a_repeated_image_is_augmented_anew():
    def noisy(sample, rng):
        return sample._replace(image=rng.integers(0, 256, sample.image.shape, dtype=np.uint8))

    repeated = Repeat(Shapes(3), 2)
    assert ids(repeated) == ids(Shapes(3)) * 2
    batches = list(Loader(repeated, [noisy], 1).batches(0))
    assert len(batches) == 6
    assert not np.array_equal(batches[0].images, batches[3].images)


def test_repeat_factors_are_those_of_lvis():
    """Class 0 is in all four images, class 1 in one, class 2 in none that counts."""
    labels = [[0], [0, 0, 1], [0], [0, 2], []]
    dataset = Labelled(labels, ("a", "b", "c"), flags=[3])
    factors = repeat_factors(dataset, 0.8)
    # The shares are 3/5, 1/5 and none: an object of the fourth image is difficult.
    a, b = np.sqrt(0.8 / 0.6), np.sqrt(0.8 / 0.2)
    np.testing.assert_allclose(factors, [a, max(a, b), a, 1, 1])
    assert repeat_factors(dataset, 0.001).tolist() == [1] * 5


def test_balanced_images_are_there_as_often_as_their_factors():
    labels = [[0]] * 90 + [[1]] * 10
    dataset = Labelled(labels, ("a", "b"))
    balanced = ClassBalanced(dataset, 0.5)
    counts = np.bincount(ids(balanced), minlength=100)
    assert (counts[:90] == 1).all() and set(counts[90:].tolist()) == {2, 3}  # sqrt(5) is 2.24
    assert ids(balanced) == ids(ClassBalanced(dataset, 0.5))
    assert ids(ClassBalanced(dataset)) == ids(dataset)


def test_concat_maps_classes():
    one = Labelled([[0, 1], [1]], ("cat", "dog"))
    other = Labelled([[2, 0, 1]], ("hound", "cat", "lamp"), first=10)
    both = Concat([one, other], [{}, {"hound": "dog", "lamp": None}])
    assert both.class_names == ("cat", "dog") and len(both) == 3 and ids(both) == [0, 1, 10]
    last = both.annotation(2)
    assert (last.labels.tolist(), last.difficult.tolist()) == ([0, 1, 0], [True, False, False])
    assert both.annotation(0).labels.tolist() == [0, 1]
    assert both.image(2).tolist() == other.image(0).tolist() and both.masks(2) is None
    assert both.bad_images == [("x", "is empty")] * 2
    plain = Concat([one, other], class_names=("lamp", "dog", "hound", "cat"))
    assert plain.annotation(2).labels.tolist() == [0, 2, 3]


def test_concat_numbers_ids_that_are_there_twice():
    one, other = (Labelled([[0]], ("cat",), first) for first in (3, 3))
    assert ids(Concat([one, other])) == ["0/3", "1/3"]
    assert ids(Concat([Repeat(one, 2)])) == [3, 3]


def test_fields_of_several_datasets():
    both = Concat([Shapes(2), Shapes(2, seed=1)])
    assert both.keypoint_names == Shapes(1).keypoint_names
    expected = Shapes(2, seed=1).field("keypoints", 0).points
    np.testing.assert_array_equal(both.field("keypoints", 2).points, expected)
    assert Concat([Shapes(1), Labelled([[0]], ("cat",))]).keypoint_names == ()
    for dataset in (Repeat(Pictures([(9, 9)]), 1), Concat([Pictures([(9, 9)])])):
        with pytest.raises(DataError, match="Pictures: expected the field 'keypoints'"):
            dataset.field("keypoints", 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Subset(Shapes(4), 5), "images: expected from 1 to 4, found 5"),
        (lambda: Subset(Shapes(4), 2, seed=-1), "seed: expected at least 0, found -1"),
        (lambda: Repeat(Shapes(4), 0), "times: expected at least 1, found 0"),
        (lambda: ClassBalanced(Shapes(4), 0), r"share: .*\(0, 1\], found 0"),
        (lambda: Concat([]), "maps: expected one for each of the 0"),
        (lambda: Concat([Shapes(4)], [{}, {}]), "maps: expected one for each of the 1 .*found 2"),
        (lambda: Concat([Shapes(4)], [{"cat": "dog"}]), "maps: .*circle, .* found 'cat'"),
        (lambda: Concat([Shapes(4)], class_names=["circle"]), "class_names: .*'cross', too"),
    ],
)
def test_senseless_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def dataset_of(section):
    path = tiny.ROOT / "configs/faster_rcnn_vgg16.yaml"
    return build_dataset(load_config(path, [f"data.train={{_delete_: true, {section}}}"]), "train")


def test_a_config_nests_them():
    parts = "{type: Shapes, length: 6}, {type: Shapes, length: 4, seed: 1}"
    inner = f"{{type: Concat, datasets: [{parts}]}}"
    dataset = dataset_of(f"type: Repeat, times: 3, dataset: {inner}")
    assert len(dataset) == 30 and dataset.class_names == Shapes(1).class_names


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("type: Repeat, times: 2", "data.train: the key 'dataset' is missing"),
        ("type: Repeat, times: 2, dataset: 3", "data.train.dataset: expected a mapping"),
        ("type: Concat, datasets: [3]", "data.train.datasets: expected a list of mappings"),
        ("type: Concat, datasets: [{type: Shape}]", "datasets.0.type: unknown dataset 'Shape'"),
        (
            "type: Subset, images: 9, dataset: {type: Shapes, length: 4}",
            "data.train.images: .*from 1 to 4",
        ),
    ],
)
def test_a_config_is_told_where_it_is_wrong(section, message):
    with pytest.raises(ConfigError, match=message):
        dataset_of(section)
