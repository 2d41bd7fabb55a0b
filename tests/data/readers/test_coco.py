"""The COCO reader: what it reads, what it drops and records, and what it says when it cannot."""

import contextlib
import io

import numpy as np
import pycocotools.coco
import pytest

from detkit.data import COCO, Loader
from detkit.errors import DataError
from support.coco_tree import Tree, thing
from support.environment import SHARED

SMALL, PEOPLE = SHARED / "data" / "coco_small", SHARED / "data" / "pennfudan"
needs_small = pytest.mark.skipif(not SMALL.is_dir(), reason=f"{SMALL} is not there")
needs_people = pytest.mark.skipif(not PEOPLE.is_dir(), reason=f"{PEOPLE} is not there")


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_boxes_classes_and_masks(tree):
    dataset = tree.read(thing(), thing((50, 30, 30, 30), 90), thing((0.5, 0, 2, 3), image=2))
    assert (dataset.class_names, dataset.category_ids) == (("cat", "owl"), (7, 90))
    first, second = dataset.annotation(0), dataset.annotation(1)
    assert first.boxes.tolist() == [[10, 5, 30, 25], [50, 30, 60, 40]]
    assert second.boxes.tolist() == [[0.5, 0, 2.5, 3]]
    assert first.labels.tolist() == [0, 1]
    assert (first.boxes.dtype, first.labels.dtype) == (np.float32, np.int32)
    assert (first.image_id, first.width, first.height) == (1, 60, 40)
    assert dataset.image(0).shape == (40, 60, 3)
    masks = dataset.masks(0)
    assert (masks.dtype, masks.shape) == (np.uint8, (2, 40, 60))
    assert masks[0, 5:25, 10:30].all()
    assert masks[0].sum() == 400
    assert dataset.dropped == dataset.bad_images == []


def test_areas_are_the_annotations_or_else_the_boxes(tree):
    dataset = tree.read(
        thing(area=12.5), thing((0, 0, 20, 10)), thing(area="large"), thing(area=-1)
    )
    assert dataset.annotation(0).areas.tolist() == [12.5, 200, 400, 400]


def test_crowds_are_difficult(tree):
    crowd = {"size": [40, 60], "counts": [0, 800, 1600]}
    dataset = tree.read(thing(), thing((0, 0, 20, 40), iscrowd=1, segmentation=crowd))
    assert dataset.annotation(0).difficult.tolist() == [False, True]
    assert dataset.masks(0)[1].sum() == 800
    batch = next(Loader(dataset, [], 1, masks=True).batches(0))
    assert batch.labels[0].tolist() == [0, -2] + [-1] * 6
    assert batch.masks[0].sum(axis=(1, 2)).tolist() == [400, 800] + [0] * 6
    assert "found none; 2 images were read" in tree.refused(thing(iscrowd=1))


def test_a_file_without_segmentations_has_no_masks(tree):
    dataset = tree.read(thing(segmentation=[]), thing(segmentation=None))
    assert len(dataset.annotation(0).boxes) == 2
    assert dataset.masks(0) is None
    some = tree.read(thing(), thing(image=2, segmentation=[]))
    assert some.masks(0).shape == (1, 40, 60)
    assert some.masks(1).sum() == some.masks(1)[0, 5:25, 10:30].sum() == 400  # its box


def test_some_classes_in_an_order_of_ones_own(tree):
    tree.read(thing(), thing(category=90))
    dataset = COCO(str(tree.file), str(tree.folder), class_names=["owl"])
    assert (dataset.class_names, dataset.category_ids) == (("owl",), (90,))
    assert dataset.annotation(0).labels.tolist() == [0]
    assert dataset.dropped == [(1, '"cat" is not in class_names')]
    both = COCO(str(tree.file), str(tree.folder), class_names=["owl", "cat"])
    assert both.category_ids == (90, 7)
    assert both.annotation(0).labels.tolist() == [1, 0]
    with pytest.raises(DataError, match="categories: .*no 'Owl' .the nearest is 'owl'"):
        COCO(str(tree.file), str(tree.folder), class_names=["Owl"])


@needs_small
def test_coco_itself():
    file = SMALL / "annotations/instances_train2017.json"
    dataset = COCO(str(file), str(SMALL / "train2017"))
    assert (len(dataset), len(dataset.class_names)) == (178, 80)
    assert (dataset.class_names[0], dataset.class_names[-1]) == ("person", "toothbrush")
    assert dataset.category_ids[-1] == 90
    assert dataset.dropped == dataset.bad_images == []
    annotations = [dataset.annotation(index) for index in range(178)]
    assert sum(len(annotation.boxes) for annotation in annotations) == 1409
    assert sum(annotation.difficult.sum() for annotation in annotations) == 15
    assert_masks_are_pycocotools(dataset, file, range(0, 178, 6))


@needs_people
def test_people():
    file = PEOPLE / "annotations/instances_test.json"
    dataset = COCO(str(file), str(PEOPLE / "images"))
    assert len(dataset) == 40
    assert dataset.class_names == ("person",)
    assert_masks_are_pycocotools(dataset, file, range(40))


def assert_masks_are_pycocotools(dataset, file, indices):
    with contextlib.redirect_stdout(io.StringIO()):
        reference = pycocotools.coco.COCO(str(file))
    for index in indices:
        image_id = dataset.annotation(index).image_id
        expected = [reference.annToMask(entry) for entry in reference.imgToAnns[image_id]]
        np.testing.assert_array_equal(dataset.masks(index), np.array(expected))
        assert dataset.image(index).shape[:2] == dataset.masks(index).shape[1:]


def test_a_relative_file_that_is_missing_is_looked_for_where_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        COCO("mine.json", ".")
    where = f"mine.json (in the working directory {tmp_path})"
    assert str(caught.value) == f"{where}: cannot be read: No such file or directory"
