"""What all readers share: ids, sizes, classes, lists of images, dropped objects and bad images."""

import json
import os

import cv2
import numpy as np
import pytest

from detkit.data import JSONLines, VOCFolder
from detkit.data.recognise import recognise
from detkit.data.writers import write_coco
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS
from fuzz.layouts import CLASSES, FILES, THINGS
from support.layouts import make, read, things

OF_VOC_ALONE = ("voc",)  # it takes the images from its own lists


@pytest.mark.parametrize("layout", FILES)
def test_every_layout_says_the_same(tmp_path, layout):
    dataset = read(make(tmp_path, layout))
    expected = {
        name[0]: [(label, box, False) for label, box in objects]
        for name, objects in THINGS.items()
        if objects or layout != "openimages"
    }
    assert things(dataset) == expected
    assert dataset.class_names == CLASSES
    assert dataset.dropped == dataset.bad_images == []
    for index in range(len(dataset)):
        annotation = dataset.annotation(index)
        assert (annotation.width, annotation.height) == (60, 40)
        assert annotation.boxes.dtype == np.float32 and annotation.boxes.shape[1:] == (4,)
        assert annotation.labels.dtype == np.int32 and annotation.difficult.dtype == bool
        assert dataset.image(index).shape == (40, 60, 3)
        assert layout == "recordio" or dataset.image_path(index).is_file()


@pytest.mark.parametrize("layout", [each for each in FILES if each not in OF_VOC_ALONE])
def test_every_reader_takes_a_list_of_images_and_class_names(tmp_path, layout):
    folder = make(tmp_path / "data", layout)
    listed = tmp_path / "list.txt"
    listed.write_text("b\n")
    (section,) = recognise(folder).splits.values()
    dataset = DATASETS.build({**section, "image_list": str(listed)})
    assert things(dataset) == {"b": [("dog", (20, 10, 40, 30), False)]}
    assert dataset.class_names == CLASSES  # those of all images
    only = DATASETS.build({**section, "class_names": ["dog"]})
    assert only.class_names == ("dog",)
    assert sum(len(only.annotation(index).labels) for index in range(len(only))) == 2
    ((image_id, reason),) = only.dropped
    assert image_id in ("a.jpg", "a.JPEG", 1)
    assert '"cat" is not in class_names' in reason


@pytest.mark.parametrize(
    "layout", ["coco", "cvat", "labelstudio", "openimages", "csv", "jsonl", "voc-folder"]
)
def test_a_folder_of_images_that_is_not_there_is_said_with_its_whole_path(
    tmp_path, monkeypatch, layout
):
    (section,) = recognise(make(tmp_path / "data", layout)).splits.values()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        DATASETS.build({**section, "images": "photos"})
    for words in ("photos", f"(in the working directory {tmp_path})", "expected a folder"):
        assert words in str(caught.value)


@pytest.mark.parametrize("names", [["dog", "dog"], []])
def test_senseless_class_names_are_a_fault_of_the_config(tmp_path, names):
    (section,) = recognise(make(tmp_path, "csv")).splits.values()
    with pytest.raises(ConfigError, match="class_names: expected names that differ"):
        DATASETS.build({**section, "class_names": names})


def write(folder, *lines):
    file = folder / "a.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(file)


@pytest.fixture
def image(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((40, 60, 3), np.uint8))
    return {"image": "a.jpg", "objects": [{"class": "x", "box": [1, 2, 3, 4]}]}


def test_boxes_are_clipped_and_a_box_comes_from_its_polygons(tmp_path, image):
    triangle = [[10, 5, 30, 5, 30, 25.5], [40, 30, 41, 30, 41, 31]]
    objects = [{"class": "x", "box": [-5, -5, 99, 99], "polygons": triangle},
               {"class": "x", "polygons": triangle}]  # fmt: skip
    dataset = JSONLines(write(tmp_path, {**image, "objects": objects}))
    assert dataset.annotation(0).boxes.tolist() == [[0, 0, 60, 40], [10, 5, 41, 31]]
    assert dataset.masks(0).shape == (2, 40, 60)
    np.testing.assert_array_equal(dataset.masks(0)[0], dataset.masks(0)[1])


def test_a_box_among_polygons_is_its_own_mask(tmp_path, image):
    mixed = [*image["objects"], {"class": "x", "polygons": [[1, 1, 9, 1, 9, 9]]}]
    dataset = JSONLines(write(tmp_path, {**image, "objects": mixed}))
    box, triangle = dataset.masks(0)
    expected = np.zeros((40, 60), np.uint8)
    expected[2:4, 1:3] = 1
    np.testing.assert_array_equal(box, expected)
    assert 20 < triangle.sum() < 40 and triangle[1, 7] and not triangle[8, 2]


def test_an_image_that_is_named_twice_is_refused(tmp_path, image):
    with pytest.raises(DataError, match="each image once, found twice: a.jpg"):
        JSONLines(write(tmp_path, image, image))


def test_if_nothing_is_left_the_reasons_are_said(tmp_path, image):
    with pytest.raises(DataError) as caught:
        JSONLines(write(tmp_path, image, {**image, "image": "b.jpg"}), class_names=["X"])
    said = str(caught.value)
    for words in ("1 images were read, 1 cannot", "1 objects", "b.jpg: no such", "nearest is 'X'"):
        assert words in said


def test_an_image_above_the_limit_is_bad(tmp_path, image):
    make(tmp_path, "csv")
    cv2.imwrite(str(tmp_path / "b.jpg"), np.zeros((80, 60, 3), np.uint8))
    small = {**image, "image": "c.jpg"}
    dataset = JSONLines(write(tmp_path, small, {**image, "image": "b.jpg"}), max_pixels=2400)
    ((image_id, reason),) = dataset.bad_images
    assert image_id == "b.jpg"
    assert "2400 pixels, found 60 x 80" in reason and "data.max_pixels" in reason


def test_an_image_of_another_size_than_annotated_is_bad(tmp_path):
    folder = make(tmp_path, "voc-folder")
    cv2.imwrite(str(folder / "b.jpg"), np.zeros((60, 40, 3), np.uint8))
    ((image_id, reason),) = VOCFolder(str(folder)).bad_images
    assert image_id == "b.jpg"
    assert "60 x 40 pixels of the annotation, found 40 x 60" in reason


def test_hidden_files_are_no_images_and_odd_names_can_be_printed(tmp_path):
    folder = make(tmp_path, "voc-folder")
    (folder / "._a.jpg").write_bytes(b"")
    (folder / ".checkpoints").mkdir()
    (folder / ".checkpoints/a.jpg").write_bytes(b"")
    odd = os.fsdecode(b"b\xff")
    for suffix in (".jpg", ".xml"):
        (folder / f"b{suffix}").rename(folder / f"{odd}{suffix}")
    dataset = VOCFolder(str(folder))
    assert [dataset.annotation(index).image_id for index in range(3)] == [
        "a.jpg",
        "b\\udcff.jpg",
        "c.jpg",
    ]
    assert dataset.image(1).shape == (40, 60, 3)
    write_coco({"train": dataset}, tmp_path / "out")
    assert things(read(tmp_path / "out"))["b_udcff"] == [("dog", (20, 10, 40, 30), False)]
