"""Detections saved as datasets, read back by the readers of data/readers to the same boxes."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO as TheirCOCO

from detkit.data.recognise import read_source, recognise
from detkit.errors import DataError
from detkit.predictions.saves import IN_FOLDERS, SAVES, Target, open_saves
from support.layouts import file_name, read
from support.predicting import (
    CLASSES,
    SIZE,
    detections,
    results,
    results_of_video,
    with_masks,
    write_images,
)

DATASETS = tuple(form for form in IN_FOLDERS if form != "crops")
FLAT = ("voc", "labelme")  # names of images have no folders
WITH_MASKS = ("coco", "yolo", "labelme")


def saved(form, folder, items, images="symlink"):
    save = SAVES[form](Target(folder, CLASSES, images))
    for item in items:
        save.add(item)
    save.close()
    assert not list(folder.rglob("*.part"))
    return read(folder)


def by_stem(dataset):
    """{name of an image without suffix: its number}."""
    stems = [Path(file_name(dataset, index)).stem for index in range(len(dataset))]
    return dict(zip(stems, range(len(stems))))


def assert_same(annotation, names, item):
    found = item.usable
    assert (annotation.height, annotation.width) == SIZE
    np.testing.assert_array_equal(annotation.boxes, found.boxes)
    assert [names[label] for label in annotation.labels] == [one.name for one in found]
    assert not annotation.difficult.any()


@pytest.fixture
def of_images(tmp_path):
    """Three images, the last one without detections."""
    counts = (6, 3, 0)
    found = [detections(number, count) for number, count in enumerate(counts)]
    return results(write_images(tmp_path / "images", 3), found)


@pytest.mark.parametrize("images", ["symlink", "copy"])
@pytest.mark.parametrize("form", DATASETS)
def test_images_are_read_back_to_the_same_boxes(tmp_path, of_images, form, images):
    dataset = saved(form, tmp_path / form, of_images, images)
    assert recognise(tmp_path / form).layout == form
    assert dataset.class_names == CLASSES
    numbers = by_stem(dataset)
    assert set(numbers) == {"0", "1", "2"} and dataset.bad_images == []
    for item in of_images:
        number = numbers[item.frame.name]
        assert_same(dataset.annotation(number), CLASSES, item)
        np.testing.assert_array_equal(dataset.image(number), item.frame.image)
        assert dataset.image_path(number).is_symlink() == (images == "symlink")


@pytest.mark.parametrize("form", DATASETS)
def test_frames_of_a_video_are_read_back_to_the_same_boxes(tmp_path, form):
    items = results_of_video(4, lambda number: detections(number, number))
    dataset = saved(form, tmp_path / form, items)
    numbers = by_stem(dataset)
    for item in items:
        name = item.frame.name if form in FLAT else f"{item.frame.number:06d}"
        number = numbers[name.replace("/", "_")]
        assert_same(dataset.annotation(number), CLASSES, item)
        assert dataset.image(number).shape == (*SIZE, 3)


@pytest.mark.parametrize("form", WITH_MASKS)
def test_masks_are_read_back(tmp_path, form):
    items = results(write_images(tmp_path / "images", 2), [with_masks(1), with_masks(2)])
    dataset = saved(form, tmp_path / form, items)
    for item, masks in zip(items, map(dataset.masks, range(2))):
        expected = [item.found.mask(row) >= 0.5 for row in range(len(item.found))]
        np.testing.assert_array_equal(masks, expected)


@pytest.mark.parametrize("form", DATASETS)
def test_boxes_are_clipped_and_those_without_area_left_out(tmp_path, form):
    found = detections(1, 4)
    found.boxes[1] = -5, 3, 20.5, 99
    found.boxes[2] = 61, 2, 80, 10
    (item,) = results(write_images(tmp_path / "images", 1), [found])
    dataset = saved(form, tmp_path / form, [item])
    boxes = dataset.annotation(0).boxes
    np.testing.assert_array_equal(boxes[1], np.float32([0, 3, 20.5, 40]))
    np.testing.assert_array_equal(boxes[[0, 2]], found.boxes[[0, 3]])
    assert dataset.dropped == []
    assert len(item.found) == 4  # what else is saved is as it was found


def test_coco_has_results_with_scores_that_pycocotools_reads(tmp_path, of_images):
    saved("coco", tmp_path / "coco", of_images)
    truth = TheirCOCO(str(tmp_path / "coco/annotations/instances_train.json"))
    loaded = truth.loadRes(str(tmp_path / "coco/results.json"))
    for item in of_images:
        things = loaded.loadAnns(loaded.getAnnIds([item.index + 1]))
        np.testing.assert_allclose([one["score"] for one in things], item.found.scores)
        corners = np.array([one["bbox"] for one in things]).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        np.testing.assert_allclose(corners, item.found.boxes, rtol=1e-6)
        own = truth.loadAnns(truth.getAnnIds([item.index + 1]))
        np.testing.assert_allclose([one["score"] for one in own], item.found.scores)
    ids = [one["id"] for one in truth.dataset["annotations"]]
    assert ids == list(range(1, 10))


def test_coco_has_keypoints(tmp_path):
    points = np.random.default_rng(1).uniform(1, 39, (2, 3, 3)).astype(np.float32)
    found = replace(detections(1, 2), keypoints=points)
    items = results(write_images(tmp_path / "images", 1), [found])
    saved("coco", tmp_path / "coco", items)
    content = json.loads((tmp_path / "coco/annotations/instances_train.json").read_text())
    for thing, expected in zip(content["annotations"], points):
        written = np.reshape(thing["keypoints"], (3, 3))
        np.testing.assert_allclose(written[:, :2], expected[:, :2] - 0.5, atol=1e-5)
        assert thing["num_keypoints"] == 3
    assert content["categories"][0]["keypoints"] == ["1", "2", "3"]


def test_a_table_has_scores(tmp_path, of_images):
    saved("csv", tmp_path / "csv", of_images)
    with open(tmp_path / "csv/train.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scores = [float(row["score"]) for row in rows if row["class"]]
    expected = np.concatenate([item.found.scores for item in of_images])
    np.testing.assert_array_equal(np.float32(scores), expected)
    assert rows[-1]["filename"] == "2.png" and rows[-1]["class"] == rows[-1]["score"] == ""


@pytest.mark.parametrize("form", FLAT)
def test_names_that_are_flattened_stay_apart(tmp_path, form):
    image = results(write_images(tmp_path / "images", 1), [detections(7)])[0]
    image = replace_name(image, "clip_000000")
    (frame,) = results_of_video(1, detections)
    dataset = saved(form, tmp_path / form, [image, frame])
    numbers = by_stem(dataset)
    assert_same(dataset.annotation(numbers["clip_000000"]), CLASSES, image)
    assert_same(dataset.annotation(numbers["clip_000000-2"]), CLASSES, frame)


def replace_name(item, name):
    item.frame = item.frame._replace(name=name)
    return item


def test_crops_are_the_pixels_of_the_boxes(tmp_path, of_images):
    save = SAVES["crops"](Target(tmp_path / "crops", CLASSES))
    for item in of_images:
        save.add(item)
    save.close()
    with open(tmp_path / "crops/crops.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["crop"]]
    pairs = [(item, row) for item in of_images for row in range(len(item.found))]
    assert len(rows) == len(pairs) == 9
    assert len(list((tmp_path / "crops").rglob("*.png"))) == 9
    for row, (item, number) in zip(rows, pairs):
        x1, y1, x2, y2 = item.found.boxes[number]
        corners = [float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax")]
        np.testing.assert_array_equal(np.float32(corners), item.found.boxes[number])
        crop = cv2.imread(str(tmp_path / "crops" / row["crop"]))[..., ::-1]
        inside = item.frame.image[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
        np.testing.assert_array_equal(crop, inside)
        assert '"' not in row["crop"] and row["class"] == item.found[number].name


def test_a_folder_that_holds_something_is_refused_before_any_form_is_written(tmp_path):
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo/mine.txt").write_text("kept")
    with pytest.raises(DataError, match="yolo: expected a new or an empty folder"):
        open_saves(["json", "coco", "yolo"], tmp_path, CLASSES, "symlink")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mine.txt"]


@pytest.mark.parametrize("form", IN_FOLDERS)
def test_a_folder_that_cannot_be_made_is_said(tmp_path, form):
    (tmp_path / form).write_text("a file")
    with pytest.raises(DataError) as caught:
        open_saves([form], tmp_path, CLASSES, "symlink")
    assert str(caught.value).startswith(f"{tmp_path / form}: cannot be written: ")


@pytest.mark.parametrize("form", DATASETS)
def test_files_that_cannot_be_written_are_said(tmp_path, of_images, form):
    """A folder that was removed and replaced by a file while frames came."""
    save = SAVES[form](Target(tmp_path / form, CLASSES))
    os.rename(tmp_path / form, tmp_path / "moved")
    (tmp_path / form).write_text("a file")
    with pytest.raises(DataError, match="cannot be written: "):
        save.add(of_images[0])
        save.close()


def test_without_images_the_boxes_are_written_alone(tmp_path, of_images):
    save = SAVES["yolo"](Target(tmp_path / "yolo", CLASSES, "none"))
    save.add(of_images[0])
    save.close()
    assert (tmp_path / "yolo/labels/train/0.txt").read_text().count("\n") == 6
    assert not (tmp_path / "yolo/images").exists()


def test_all_layouts_are_recognised(tmp_path, of_images):
    """Beside each other, as one run of several forms leaves them."""
    saves = open_saves(DATASETS, tmp_path, CLASSES, "symlink")
    for item in of_images:
        for save in saves.values():
            save.add(item)
    for save in saves.values():
        save.close()
    for form in DATASETS:
        (dataset,) = read_source(recognise(tmp_path / form)).values()
        assert sum(len(dataset.annotation(index).labels) for index in range(3)) == 9
