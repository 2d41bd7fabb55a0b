"""The COCO reader: what it reads, what it drops and records, and what it says when it cannot."""

import contextlib
import io
import json

import cv2
import numpy as np
import pycocotools.coco
import pytest

from detkit.data import COCO, Loader
from detkit.errors import DataError
from support.environment import SHARED

SMALL, PEOPLE = SHARED / "data" / "coco_small", SHARED / "data" / "pennfudan"
needs_small = pytest.mark.skipif(not SMALL.is_dir(), reason=f"{SMALL} is not there")
needs_people = pytest.mark.skipif(not PEOPLE.is_dir(), reason=f"{PEOPLE} is not there")

SQUARE = [[10, 5, 30, 5, 30, 25, 10, 25]]


def thing(box=(10, 5, 20, 20), category=7, image=1, **fields):
    entry = {"image_id": image, "category_id": category, "bbox": list(box), "segmentation": SQUARE}
    return {**entry, **fields}


class Tree:
    """Two images of 60 x 40 pixels, and the file that is written of them."""

    def __init__(self, root):
        self.file, self.folder = root / "instances.json", root / "images"
        self.folder.mkdir()
        self.content = {
            "images": [
                {"id": image, "file_name": f"{image}.jpg", "width": 60, "height": 40}
                for image in (1, 2)
            ],
            "categories": [{"id": 90, "name": "owl"}, {"id": 7, "name": "cat"}],
        }
        for image in (1, 2):
            pixels = np.full((40, 60, 3), 90, np.uint8)
            cv2.imwrite(str(self.folder / f"{image}.jpg"), pixels)

    def read(self, *things, **changes):
        content = {**self.content, "annotations": list(things or [thing()]), **changes}
        self.file.write_text(json.dumps(content))
        return COCO(str(self.file), str(self.folder))

    def refused(self, *things, **changes):
        with pytest.raises(DataError) as caught:
            self.read(*things, **changes)
        assert str(self.file) in str(caught.value)
        return str(caught.value)


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


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bbox": [10, 10, 0, 10]}, '"cat": box 10 10 0 10 has no area'),
        ({"bbox": [10, 10, 5, -1]}, '"cat": box 10 10 5 -1 has no area'),
        ({"bbox": [60, 1, 9, 9]}, "60 x 40 pixels"),
        ({"bbox": [1, -9, 9, 9]}, "lies outside"),
        ({"bbox": [float("nan"), 1, 9, 9]}, "box nan 1 9 9 is not finite"),
        ({"segmentation": [[1, 1, 9, 9]]}, "three corners"),
    ],
)
def test_unusable_objects_are_dropped_and_recorded(tree, changes, reason):
    dataset = tree.read(thing(image=2, **changes), thing())
    (dropped,) = dataset.dropped
    assert dropped[0] == 2
    assert reason in dropped[1]
    assert len(dataset.annotation(1).boxes) == len(dataset.masks(1)) == 0


def test_images_that_are_no_whole_image_are_left_out(tree):
    whole = (tree.folder / "2.jpg").read_bytes()
    (tree.folder / "2.jpg").write_bytes(whole[:-9])
    dataset = tree.read(thing(), thing(image=2))
    assert len(dataset) == 1
    ((image_id, reason),) = dataset.bad_images
    assert image_id == 2
    assert "truncated" in reason


@pytest.mark.parametrize(
    ("entry", "fragments"),
    [
        (thing(category="cat"), ["annotations[1].category_id: ", "int, found 'cat'"]),
        ({"image_id": 1, "category_id": 7}, ["annotations[1].bbox: ", "list, found nothing"]),
        (thing((1, 2, 3)), ["annotations[1].bbox: ", "x, y, width, height", "found [1, 2, 3]"]),
        (thing((1, 2, 3, "4")), ["annotations[1].bbox: ", "numbers", "'4'"]),
        (thing((1, 2, 3, 10**400)), ["annotations[1].bbox: ", "numbers"]),
    ],
)
def test_the_image_of_a_malformed_annotation_is_left_out(tree, entry, fragments):
    entry = {"image_id": 1, **entry}
    dataset = tree.read(thing(), entry, thing((9, 9, 0, 0)), thing(image=2))
    assert [dataset.annotation(i).image_id for i in range(len(dataset))] == [2]
    assert dataset.dropped == []
    ((image_id, reason),) = dataset.bad_images
    assert image_id == 1
    for fragment in (str(tree.file), *fragments):
        assert fragment in reason


@pytest.mark.parametrize(
    ("entry", "image_id", "fragments"),
    [
        (3, "annotations[1]", ["annotations[1]: ", "an object", "found int"]),
        (thing(image=5), "annotations[1]", ["annotations[1].image_id: ", "found 5"]),
        (thing(image="1"), "annotations[1]", ["annotations[1].image_id: ", "found '1'"]),
        (thing(image=[1]), "annotations[1]", ["].image_id: ", "int or str, found [1]"]),
        (thing(category=8), 1, ["annotations[1]: ", "category_id: ", "found 8"]),
        (thing(segmentation=3), 1, ['annotations[1]: "cat": segmentation: ', "found int"]),
        (
            thing(segmentation={"size": [40, 60], "counts": [9]}),
            1,
            ["annotations[1]: ", "segmentation: ", "40 x 60 pixels", "found [9]"],
        ),
    ],
)
def test_an_object_of_no_image_or_category_or_outline_is_dropped(tree, entry, image_id, fragments):
    dataset = tree.read(thing(), entry)
    assert len(dataset) == 2 and len(dataset.annotation(0).boxes) == 1
    ((found, reason),) = dataset.dropped
    assert found == image_id and dataset.bad_images == []
    for fragment in (str(tree.file), *fragments):
        assert fragment in reason


def test_all_faults_are_listed_at_once(tree):
    changes = [{}, {}, {"width": 0}, {"file_name": "../x.jpg"}, {"id": None}, {}]
    entries = [
        {"id": number, "file_name": f"{number}.jpg", "width": 60, "height": 40, **change}
        for number, change in enumerate(changes, 1)
    ]
    boxes = [thing(image=1, bbox=3), thing(image=1, bbox=None), thing(image=2), thing(image=3)]
    dataset = tree.read(*boxes, images=entries)
    assert [dataset.annotation(i).image_id for i in range(len(dataset))] == [2]
    bad = dict(dataset.bad_images)
    assert list(bad) == [3, 4, "images[4]", 1, 6] and dataset.dropped == []
    for image_id, says in (
        (3, "images[2]: expected sides"),
        (4, "images[3].file_name: "),
        ("images[4]", "images[4].id: "),
        (1, "annotations[1].bbox: expected list"),
        (6, "6.jpg: no such file"),
    ):
        assert says in bad[image_id]


def test_a_folder_that_is_not_there_is_said(tree, tmp_path, monkeypatch):
    tree.read()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"images: .*found none at image.*{tmp_path}.*'images'"):
        COCO(str(tree.file), "image")
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=f"the 2 images of .*none of them in other .*{tmp_path}"):
        COCO(str(tree.file), "other")


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"categories": []}, ["categories: ", "found none"]),
        ({"categories": [{"id": 7}]}, ["categories[0].name: ", "str, found nothing"]),
        (
            {"categories": [{"id": 7, "name": "cat"}, {"id": 7, "name": "owl"}]},
            ["categories[1]: ", "id 7", "name 'owl'"],
        ),
        ({"images": None}, ["images, annotations", "categories", "found keys "]),
        (
            {"images": [{"id": 1, "file_name": "1.jpg", "width": 0, "height": 40}]},
            ["images[0]: ", "100000000 pixels", "found 0 x 40"],
        ),
        (
            {"images": [{"id": 1, "file_name": "1.jpg", "width": 60, "height": 40}] * 2},
            ["images[1].id: ", "found 1"],
        ),
        (
            {"images": [{"id": 1, "file_name": "7.jpg", "width": 60, "height": 40}]},
            ["the 1 images", "none of them", "7.jpg"],
        ),
    ],
)
def test_malformed_images_and_categories_are_named(tree, changes, fragments):
    refused = tree.refused(**changes)
    for fragment in fragments:
        assert fragment in refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n"images": [,]}', ":2: malformed JSON"),
        ("[]", "found no object"),
        ("[" * 100000, "a JSON file"),
    ],
)
def test_what_is_no_such_file_is_said(tree, text, message):
    tree.file.write_text(text)
    with pytest.raises(DataError) as caught:
        COCO(str(tree.file), str(tree.folder))
    assert message in str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(DataError, match="none.json: .*No such file"):
        COCO(str(tmp_path / "none.json"), str(tmp_path))


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
