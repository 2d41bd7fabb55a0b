"""Keypoints in COCO's files: what is read, what is dropped and recorded, and what is refused."""

import json

import cv2
import numpy as np
import pytest

from detkit.data import COCO, HorizontalFlip, Loader
from detkit.errors import DataError

NAMES = ["nose", "left_eye", "right_eye"]
CATEGORY = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": "not read"}
POINTS = [20, 10, 2, 25, 8, 1, 0, 0, 0]


def person(keypoints=POINTS, box=(10, 5, 20, 20), **fields):
    entry = {"image_id": 1, "category_id": 1, "bbox": list(box), "keypoints": keypoints}
    return {**entry, **fields}


@pytest.fixture
def read(tmp_path):
    """Reads a file with these annotations of an image of 60 x 40 pixels."""
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((40, 60, 3), np.uint8))

    def build(*entries, categories=(CATEGORY,)):
        image = {"id": 1, "file_name": "1.png", "width": 60, "height": 40}
        content = {"images": [image], "annotations": entries, "categories": categories}
        (tmp_path / "a.json").write_text(json.dumps(content))
        return COCO(str(tmp_path / "a.json"), str(tmp_path))

    return build


def test_names_and_points(read):
    without = person(box=(30, 5, 10, 10), num_keypoints=0)
    del without["keypoints"]
    dataset = read(person(num_keypoints=2), without)
    assert dataset.keypoint_names == tuple(NAMES)
    points = dataset.field("keypoints", 0).points
    assert points.dtype == np.float32
    # The middle of the pixel that COCO states; what is not labelled is 0.
    assert points.tolist() == [[[20.5, 10.5, 2], [25.5, 8.5, 1], [0, 0, 0]], [[0] * 3] * 3]
    assert dataset.dropped == []


def test_a_mirror_exchanges_the_eyes(read):
    (batch,) = Loader(read(person()), [HorizontalFlip(1.0)], 1, fields=["keypoints"]).batches(0)
    assert batch.array("keypoints")[0, 0].tolist() == [[39.5, 10.5, 2], [60, 0, 0], [34.5, 8.5, 1]]


@pytest.mark.parametrize(
    ("keypoints", "reason"),
    [
        (POINTS[:-1], "3 times x, y, v"),
        ([], "3 times x, y, v"),
        ("nose", "3 times x, y, v"),
        ([*POINTS[:-1], "2"], "3 times x, y, v"),
        ([*POINTS[:-1], 2**60], "3 times x, y, v"),
        ([*POINTS[:-1], 3], "another v than 0, 1 or 2"),
        ([*POINTS[:-1], 0.5], "another v than 0, 1 or 2"),
        ([float("nan"), *POINTS[1:]], "too far outside"),
        ([float("inf"), *POINTS[1:]], "too far outside"),
        ([1e6, *POINTS[1:]], "too far outside"),
    ],
)
def test_malformed_keypoints_drop_their_object(read, keypoints, reason):
    dataset = read(person(), person(keypoints))
    assert len(dataset.annotation(0).boxes) == len(dataset.field("keypoints", 0).points) == 1
    ((image_id, said),) = dataset.dropped
    assert image_id == 1
    assert 'annotations[1]: "person": keypoints ' in said
    assert reason in said


def test_slightly_outside_is_right(read):
    assert read(person([-9, 10, 2, 70, 8, 1, 0, 0, 0])).dropped == []


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"keypoints": "nose"}, ("categories[0].keypoints", "different names", "'nose'")),
        ({"keypoints": ["nose", 3]}, ("categories[0].keypoints", "3]")),
        ({"keypoints": ["nose"] * 2}, ("categories[0].keypoints", "different names")),
        ({"keypoints": [str(n) for n in range(513)]}, ("categories[0].keypoints", "at most 512")),
        ({"keypoints": ["\ud800"]}, ("categories[0].keypoints", "surrogate")),
    ],
)
def test_categories_of_another_form_are_refused(read, changes, fragments):
    with pytest.raises(DataError) as caught:
        read(person(), categories=[{**CATEGORY, **changes}])
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_all_classes_share_their_keypoints(read):
    other = {**CATEGORY, "id": 2, "name": "owl"}
    plain = {"id": 3, "name": "tree"}
    dataset = read(person(), person(category_id=2), categories=[CATEGORY, other, plain])
    assert dataset.field("keypoints", 0).points.shape == (2, 3, 3)
    with pytest.raises(DataError, match=r"categories\[1\].keypoints: .*share their keypoints"):
        read(person(), categories=[CATEGORY, {**other, "keypoints": NAMES[:2]}])


def test_a_file_without_keypoints_has_no_field(read):
    dataset = read(person("anything"), categories=[{"id": 1, "name": "person"}])
    assert (dataset.keypoint_names, dataset.dropped) == ((), [])
    with pytest.raises(DataError, match=r"COCO: expected the field 'keypoints'.*found no fields"):
        dataset.field("keypoints", 0)
