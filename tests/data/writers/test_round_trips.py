"""A dataset is written in one layout, read again and compared: what both can state is equal."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from detkit.data import COCO, Shapes
from detkit.data.recognise import read_source, recognise
from detkit.data.writers import WRITERS, write_coco
from detkit.data.writers.coco import write_truth
from detkit.detections.results import category_ids
from fuzz.layouts import FILES
from support.layouts import file_name, make, read, things

WITH_MASKS = ("coco", "yolo", "labelme", "recordio")
LINKS = {"recordio": "copy"}
WITHOUT_DIFFICULT = ("yolo",)
POLYGONS = [[10, 5, 30.5, 5, 30.5, 25, 10, 25], [40, 30, 50, 30, 50, 38.25]]


def by_name(dataset):
    """{stem: (annotation, masks)}; a reader may have another order of images."""
    return {
        Path(file_name(dataset, index)).stem: (dataset.annotation(index), dataset.masks(index))
        for index in range(len(dataset))
    }


def assert_equal(first, second, masks=True, difficult=True):
    assert first.class_names == second.class_names
    ones, others = by_name(first), by_name(second)
    assert set(ones) == set(others)
    for name, (one, its_masks) in ones.items():
        other, other_masks = others[name]
        kept = np.ones(len(one.labels), bool) if difficult else ~one.difficult
        assert (one.width, one.height) == (other.width, other.height)
        np.testing.assert_array_equal(one.boxes[kept], other.boxes)
        np.testing.assert_array_equal(one.labels[kept], other.labels)
        np.testing.assert_array_equal(one.difficult[kept], other.difficult)
        if masks and its_masks is not None:
            np.testing.assert_array_equal(its_masks[kept], other_masks)


@pytest.mark.parametrize("layout", FILES)
@pytest.mark.parametrize("to", WRITERS)
def test_every_layout_to_every_layout_and_back_to_coco(tmp_path, layout, to):
    dataset = read(make(tmp_path / "source", layout))
    written = WRITERS[to]({"train": dataset}, tmp_path / "out", LINKS.get(to, "symlink"))
    assert (written.images, written.objects, written.left_out) == (len(dataset), 3, [])
    found = recognise(tmp_path / "out")
    assert found.layout == to
    (again,) = read_source(found).values()
    assert_equal(dataset, again)
    write_coco({"train": again}, tmp_path / "coco", "symlink")
    assert_equal(dataset, read(tmp_path / "coco"))


@pytest.mark.parametrize("layout", FILES)
def test_the_truth_of_every_layout_has_the_ids_of_its_results(tmp_path, layout):
    dataset = read(make(tmp_path / "source", layout))
    write_truth(dataset, tmp_path / "truth.json")
    content = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    annotations = [dataset.annotation(index) for index in range(len(dataset))]
    assert [image["id"] for image in content["images"]] == [each.image_id for each in annotations]
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert list(names) == list(category_ids(dataset))
    found = {}
    for thing in content["annotations"]:
        x, y, width, height = thing["bbox"]
        box = (names[thing["category_id"]], [x, y, x + width, y + height], thing["iscrowd"])
        found.setdefault(thing["image_id"], []).append(box)
    for each in annotations:
        labels = [dataset.class_names[label] for label in each.labels]
        rows = zip(labels, each.boxes.tolist(), each.difficult.astype(int).tolist())
        for (name, box, crowd), expected in zip(found.get(each.image_id, []), rows):
            assert (name, crowd) == (expected[0], expected[2])
            np.testing.assert_allclose(box, expected[1], atol=1e-4)
        assert len(found.get(each.image_id, [])) == len(each.labels)


@pytest.fixture
def with_masks(tmp_path):
    """One polygon, several, run lengths with a hole, and a crowd, of images of 60 x 40 pixels."""
    folder = make(tmp_path / "masks", "coco")
    file = folder / "annotations/instances_train.json"
    content = json.loads(file.read_text())
    runs = np.zeros((40, 60), int)
    runs[4:20, 7:31] = 1
    runs[8:12, 9:15] = 0
    runs[30:, 50:] = np.arange(100).reshape(10, 10) % 3 > 0
    flat = runs.T.ravel()
    counts = [len(list(group)) for _, group in itertools.groupby([0, *flat])]
    rle = {"size": [40, 60], "counts": [counts[0] - 1, *counts[1:]]}
    kinds = [(POLYGONS[:1], [10, 5, 20.5, 20], 0), (POLYGONS, [10, 5, 40, 33.25], 0),
             (rle, [7, 4, 53, 36], 0), (rle, [7, 4, 53, 36], 1)]  # fmt: skip
    content["annotations"] = [
        {"id": number, "image_id": 1 + number % 2, "category_id": 1, "bbox": box,
         "area": 100.5 + number, "segmentation": outline, "iscrowd": crowd}
        for number, (outline, box, crowd) in enumerate(kinds)
    ]  # fmt: skip
    file.write_text(json.dumps(content))
    return COCO(str(file), str(folder / "images"))


@pytest.mark.parametrize("to", WRITERS)
def test_masks_and_crowds(tmp_path, with_masks, to):
    written = WRITERS[to]({"train": with_masks}, tmp_path / "out")
    again = read(tmp_path / "out")
    difficult = to not in WITHOUT_DIFFICULT
    assert_equal(with_masks, again, to in WITH_MASKS, difficult)
    assert [reason for _, reason in written.left_out] == [
        "a difficult object, which YOLO cannot state"
    ] * (not difficult)
    assert (again.masks(0) is not None) == (to in WITH_MASKS)
    if to in ("coco", "recordio"):
        areas = [again.annotation(index).areas for index in range(3)]
        assert [area.tolist() for area in areas] == [[100.5, 102.5], [101.5, 103.5], []]
        assert again.segmentations(0)[0][0].tolist() == POLYGONS[0]


@pytest.mark.parametrize("to", WRITERS)
def test_a_dataset_without_files_gets_files_without_loss(tmp_path, to):
    shapes = Shapes(length=3, size=(48, 64), empty=0)
    written = WRITERS[to]({"val": shapes}, tmp_path / "out")
    again = read(tmp_path / "out")
    assert again.class_names == shapes.class_names
    assert written.images == len(again) == 3
    for index in range(3):
        np.testing.assert_array_equal(again.image(index), shapes.image(index))
        np.testing.assert_array_equal(again.annotation(index).boxes, shapes.annotation(index).boxes)
        if to in WITH_MASKS:
            np.testing.assert_array_equal(again.masks(index), shapes.masks(index))


def test_keypoints_and_category_ids_of_coco_stay(tmp_path):
    folder = make(tmp_path / "a", "coco")
    file = folder / "annotations/instances_train.json"
    content = json.loads(file.read_text())
    content["categories"] = [{"id": 3, "name": "cat", "keypoints": ["nose", "tail"]},
                             {"id": 90, "name": "dog"}]  # fmt: skip
    for entry in content["annotations"]:
        entry.update(category_id=3, keypoints=[20, 10.5, 2, 0, 0, 0])
    file.write_text(json.dumps(content))
    dataset = COCO(str(file), str(folder / "images"))
    write_coco({"train": dataset}, tmp_path / "b")
    again = read(tmp_path / "b")
    assert (again.category_ids, again.keypoint_names) == ((3, 90), ("nose", "tail"))
    for index in range(3):
        one, other = (each.field("keypoints", index).points for each in (dataset, again))
        np.testing.assert_array_equal(one, other)
    assert things(again)["a"][0][:2] == ("cat", (10, 5, 30, 25))
