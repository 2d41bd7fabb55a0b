"""The reader of YOLO's layout: folders, lists, polygons, and files that are malformed."""

import cv2
import numpy as np
import pytest

from detkit.data import YOLO
from detkit.errors import DataError
from fuzz.layouts import THINGS, jpegs
from support.layouts import Malformed, check, make, read, things

A, B, YAML = "train/labels/a.txt", "train/labels/b.txt", "data.yaml"
OUTSIDE = "0 1.5 1.5 0.1 0.1\n"


def read_split(folder):
    return YOLO(str(folder))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, "yolo")


def test_boxes_names_and_ids(folder):
    dataset = read_split(folder)
    assert dataset.class_names == ("cat", "dog")
    assert things(dataset) == {
        name[0]: [(label, box, False) for label, box in objects] for name, objects in THINGS.items()
    }
    assert [dataset.annotation(i).image_id for i in range(3)] == ["a.jpg", "b.jpg", "c.jpg"]
    assert dataset.masks(0) is None
    assert dataset.image_path(1) == folder / "train/images/b.jpg"
    assert dataset.dropped == dataset.bad_images == []


@pytest.mark.parametrize(
    "settings",
    [
        "names: {0: cat, 1: dog}\ntrain: images",
        "path: .\nnames: [cat, dog]\ntrain: [images, more]",
        "path: /content/mine\nnames: [cat, dog]\ntrain: /content/mine/all/images\n",
        "path: ../mine\nnames: [cat, dog]\ntrain: list.txt",
        "names: [cat, dog]\nval: images",
    ],
)
def test_settings_of_many_programs(tmp_path, settings):
    below = "all/" if "/all/" in settings else ""
    for name, data in jpegs().items():
        number = f"{below}more/{name}" if name == "b.jpg" and "more" in settings else None
        path = tmp_path / (number or f"{below}images/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        labels = tmp_path / str(path.relative_to(tmp_path)).replace("images/", "labels/")
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.with_suffix(".txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "list.txt").write_text("./images/a.jpg\n\nimages/b.jpg\nimages/c.jpg\n")
    (tmp_path / "data.yaml").write_text(settings)
    dataset = YOLO(str(tmp_path), split="val" if "val" in settings else "train")
    assert len(dataset) == 3
    assert set(map(tuple, things(dataset).values())) == {(("dog", (15, 10, 45, 30), False),)}


def test_a_folder_without_settings_takes_its_classes_from_a_file_or_the_config(tmp_path):
    make(tmp_path / "a", "yolo")
    (tmp_path / "a/data.yaml").unlink()
    with pytest.raises(DataError, match="names of the classes in data.yaml or classes.txt"):
        YOLO(str(tmp_path / "a"))
    assert YOLO(str(tmp_path / "a"), class_names=["x", "y"]).class_names == ("x", "y")
    (tmp_path / "a/classes.txt").write_text("cat\ndog\n")
    assert things(read(tmp_path / "a")) == things(read(make(tmp_path / "b", "yolo")))
    assert len(YOLO(str(tmp_path / "a/train"), None, ["x", "y"])) == 3


def test_class_names_choose_classes(folder):
    dataset = YOLO(str(folder), class_names=["dog", "Cat"])
    assert {label for objects in things(dataset).values() for label, _, _ in objects} == {"dog"}
    ((image_id, reason),) = dataset.dropped
    assert image_id == "a.jpg"
    assert "train/labels/a.txt:1: " in reason
    assert "the nearest is 'Cat'" in reason


def test_polygons_are_masks(folder):
    (folder / A).write_text("0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n")
    (folder / B).write_text("")
    dataset = read_split(folder)
    assert things(dataset)["a"] == [("cat", (15, 10, 45, 30), False)]
    expected = np.zeros((1, 40, 60), np.uint8)
    expected[0, 10:30, 15:45] = 1
    np.testing.assert_array_equal(dataset.masks(0), expected)
    assert dataset.masks(1).shape == (0, 40, 60)


def test_keypoints_are_not_read(folder):
    (folder / YAML).write_text("train: train/images\nnames: [cat]\nkpt_shape: [2, 3]\n")
    (folder / A).write_text("0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.2 0.2 1\n")
    (folder / B).write_text("")
    assert things(read_split(folder))["a"] == [("cat", (15, 10, 45, 30), False)]


def test_a_turned_photograph_has_the_size_in_which_it_is_seen(folder):
    path = folder / "train/images/b.jpg"
    data = path.read_bytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path.write_bytes(data[:2] + b"\xff\xe1" + bytes([0, len(exif) + 2]) + exif + data[2:])
    annotation = read_split(folder).annotation(1)
    assert cv2.imread(str(path)).shape[:2] == (annotation.height, annotation.width) == (60, 40)


def test_a_list_chooses_images_with_or_without_suffix(folder, tmp_path):
    (tmp_path / "list.txt").write_text("b\n\na.jpg\n")
    assert list(things(YOLO(str(folder), image_list=str(tmp_path / "list.txt")))) == ["a", "b"]
    for text, says in (("a\nbb\n", "list.txt:2: .*'bb'"), ("\n", "list.txt: .*none")):
        (tmp_path / "list.txt").write_text(text)
        with pytest.raises(DataError, match=says):
            YOLO(str(folder), image_list=str(tmp_path / "list.txt"))


MALFORMED = [
    Malformed(A, None, "0 0.5 0.5 0.5\n", "bad", ("a.txt:1: ", "found 4 numbers"), (2, 1)),
    Malformed(A, None, "0 0.5 0.5 0.5 0.5 0.9\n", "bad", ("a.txt:1: ", "found 6"), (2, 1)),
    Malformed(A, None, "0 1 1 0 0 1 1 0\n", "bad", ("a.txt:1: ", "found 8 numbers"), (2, 1)),
    Malformed(A, "0 ", "cat ", "bad", ("a.txt:1: ", "number, found 'cat'"), (2, 1)),
    Malformed(A, "0 ", "-1 ", "bad", ("a.txt:1: ", "class, found '-1'"), (2, 1)),
    Malformed(A, "0 ", "0.5 ", "bad", ("a.txt:1: ", "class, found '0.5'"), (2, 1)),
    Malformed(A, "0 ", "inf ", "bad", ("a.txt:1: ", "class, found 'inf'"), (2, 1)),
    Malformed(A, "0 ", "7 ", "dropped", ("a.jpg: ", "a.txt:1: ", '"class 7"'), (3, 2)),
    Malformed(A, "0 ", "0.0 ", "read", (), (3, 3)),
    Malformed(A, None, "0 nan 0.5 0.1 0.1\n", "dropped", ("a.txt:1: ", "not finite"), (3, 1)),
    Malformed(A, None, "0 0.5 0.5 0 0.1\n", "dropped", ("a.txt:1: ", "no area"), (3, 1)),
    Malformed(A, None, OUTSIDE, "dropped", ("a.txt:1: ", "outside", "60 x 40"), (3, 1)),
    Malformed(A, None, "0 9 9 9 9 9 9\n", "dropped", ("a.txt:1: ", "corners from"), (3, 1)),
    Malformed(A, None, "0 " + "9" * 500 + " 1 1 1", "bad", ("a longer text",), (2, 1)),
    Malformed(A, None, b"\xff\xfe0 1", "bad", ("a.txt: ", "UTF-8"), (2, 1)),
    Malformed(A, None, "\n \n", "read", (), (3, 1)),
    Malformed(A, None, None, "read", (), (3, 1)),
    Malformed("train/images/b.jpg", None, b"", "bad", ("b.jpg: ", "0 bytes"), (2, 2)),
    Malformed("train/images/b.jpg", None, b"GIF89a", "bad", ("expected JPEG, PNG",), (2, 2)),
    Malformed(YAML, "names", "nams", "refused", ("data.yaml: names: ", "found None")),
    Malformed(YAML, "'dog'", "'cat'", "refused", ("data.yaml: names: ", "differ")),
    Malformed(YAML, "'dog'", "''", "refused", ("data.yaml: names: ", "found ''")),
    Malformed(YAML, "['cat', 'dog']", "{0: cat, 2: dog}", "refused", ("keys 0 to 1", "'2'")),
    Malformed(YAML, "['cat'", "['cat", "refused", ("data.yaml:", "malformed YAML")),
    Malformed(YAML, None, "- 1\n", "refused", ("data.yaml: ", "mapping")),
    Malformed(YAML, None, "a: " * 9000, "refused", ("data.yaml",)),
    Malformed(YAML, None, b"x" * 140000, "refused", ("at most 131072 bytes",)),
    Malformed(YAML, "../train/images", "/etc", "refused", ("no '/etc'",)),
    Malformed(YAML, "../train/images", "../../../etc", "refused", ("found no",)),
    Malformed(YAML, "../train/images", "l.txt", "refused", ("found no 'l.txt'",)),
    Malformed(YAML, "../train/images", "{a: b}", "refused", ("name of a folder or list",)),
    Malformed(YAML, "train: ../train/images", "train: train", "read", (), (3, 3)),
]


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_split)


def test_a_list_of_images_does_not_leave_the_folder(folder):
    (folder / YAML).write_text("train: list.txt\nnames: [cat, dog]\n")
    for line in ("../x.jpg", "/etc/passwd", "C:\\x.jpg"):
        (folder / "list.txt").write_text(f"train/images/a.jpg\n{line}\n")
        with pytest.raises(DataError, match=r"list\.txt:2: .*below"):
            read_split(folder)
