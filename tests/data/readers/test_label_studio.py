"""The reader of Label Studio's export: units, rotations, annotators, and malformed files."""

import json

import numpy as np
import pytest

from detkit.data import LabelStudio
from support.layouts import Malformed, check, make, things

FILE = "export.json"
KIND = '"type": "rectanglelabels"'
B = "/data/upload/1/0123abcd-b.jpg"


def read_it(folder):
    return LabelStudio(str(folder / FILE), str(folder / "images"))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, "labelstudio")


def with_task(folder, change):
    tasks = json.loads((folder / FILE).read_text())
    change(tasks[1])
    (folder / FILE).write_text(json.dumps(tasks))
    return read_it(folder)


def result(kind, **value):
    return {"type": kind, "original_width": 60, "original_height": 40, "value": value}


def test_polygons_in_per_cent(folder):
    points = [[25, 25], [75, 25], [75, 75], [25, 75]]
    shape = result("polygonlabels", points=points, polygonlabels=["cat"])

    def change(task):
        task["annotations"][0]["result"] = [shape]

    dataset = with_task(folder, change)
    assert things(dataset)["b"] == [("cat", (15, 10, 45, 30), False)]
    (segmentation,) = dataset.segmentations(1)
    assert segmentation[0].tolist() == [15, 10, 45, 10, 45, 30, 15, 30]


def test_a_rectangle_is_rotated_around_its_upper_left_corner(folder):
    shape = result("rectanglelabels", x=50, y=25, width=50, height=25, rotation=90,
                   rectanglelabels=["dog"])  # fmt: skip

    def change(task):
        task["annotations"][0]["result"] = [shape]

    # 30 x 10 pixels at 30, 10, a quarter clockwise: 10 to the left, 30 downwards
    assert things(with_task(folder, change))["b"] == [("dog", (20, 10, 30, 40), False)]


def test_the_first_annotation_that_was_not_cancelled_counts(folder):
    def change(task):
        (first,) = task["annotations"]
        cancelled = {**first, "was_cancelled": True}
        task["annotations"] = [cancelled, first, first]

    dataset = with_task(folder, change)
    assert len(things(dataset)["b"]) == 1
    ((image_id, reason),) = dataset.dropped
    assert image_id == "b.jpg"
    assert "[1].annotations[2].result[0]" in reason and "another annotation" in reason


def test_a_task_without_annotation_is_not_labelled_yet(folder):
    dataset = with_task(folder, lambda task: task.update(annotations=[]))
    assert list(things(dataset)) == ["a", "c"]


@pytest.mark.parametrize(
    "address",
    ["b.jpg", "/data/local-files/?d=photos/b.jpg", "s3://bucket/b.jpg", "https://x.org/%62.jpg"],
)
def test_images_are_found_by_the_last_name_of_their_address(folder, address):
    dataset = with_task(folder, lambda task: task.update(data={"text": "x", "photo": address}))
    assert list(things(dataset)) == ["a", "b", "c"]


def test_choices_are_no_objects(folder):
    def change(task):
        task["annotations"][0]["result"].append(result("choices", choices=["good"]))

    dataset = with_task(folder, change)
    assert len(things(dataset)["b"]) == 1 and dataset.dropped == []


def test_a_rotation_is_that_of_a_matrix(folder):
    turn = np.radians(30)
    shape = result("rectanglelabels", x=50, y=25, width=25, height=25, rotation=30,
                   rectanglelabels=["dog"])  # fmt: skip

    def change(task):
        task["annotations"][0]["result"] = [shape]

    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = np.array([[0, 0], [15, 0], [0, 10], [15, 10]]) @ matrix.T + [30, 10]
    box = with_task(folder, change).annotation(1).boxes[0]
    np.testing.assert_allclose(box, [*corners.min(axis=0), *corners.max(axis=0)], rtol=1e-6)


def changed(*rest):
    return Malformed(FILE, *rest)


MALFORMED = [
    changed(None, "", "refused", ("export.json:1: malformed JSON",)),
    changed(None, "[]", "refused", ("a list of tasks, found []",)),
    changed(None, "{}", "refused", ("a list of tasks, found {}",)),
    changed(None, None, "refused", ("cannot be read",)),
    changed(None, "[7]", "refused", ("[0]: expected an object, found int",)),
    changed('"id": 1, "data"', '"id": 1, "date"', "bad", ("[1].data: ", "nothing"), (2, 2)),
    changed(f'{{"image": "{B}"}}', '{"image": 7}', "bad", ("[1].data: ", "address"), (2, 2)),
    changed(B, "/b.txt", "bad", ("[1].data: ", "address of an image"), (2, 2)),
    changed(B, "/\\ud800.jpg", "bad", ("[1].data: ", "surrogate"), (2, 2)),
    changed(B, "/x/none.jpg", "bad", ("none.jpg: no such file",), (2, 2)),
    changed('"id": 1, "was', '"result": 3, "was', "read", (), (3, 3)),
    changed(KIND, '"type": "brushlabels"', "bad", ("brushlabels: ", "nothing"), (2, 1)),
    changed(KIND, '"type": 7', "read", (), (3, 2)),
    changed('"value"', '"valu"', "bad", ("[0].annotations[0].result[0].value: ",), (2, 1)),
    changed('["cat"]', "[7]", "bad", ("value.rectanglelabels: ", "found 7"), (2, 1)),
    changed('["cat"]', '"cat"', "bad", ("value.rectanglelabels: ", "list"), (2, 1)),
    changed('["cat"]', '["cat", "dog"]', "read", (), (3, 4)),
    changed('["cat"]', "[]", "read", (), (3, 2)),
    changed('"y": 12.5', '"y": "12.5"', "bad", ("value.y: ", "number, found '12.5'"), (2, 1)),
    changed('"y": 12.5', '"z": 12.5', "bad", ("value.y: ", "found None"), (2, 1)),
    changed('"y": 12.5', '"y": NaN', "dropped", ("a.jpg: ", "not finite"), (3, 2)),
    changed('"y": 12.5', '"y": 120', "dropped", ("a.jpg: ", "outside"), (3, 2)),
    changed('"height": 50.0', '"height": -1', "dropped", ("a.jpg: ", "no area"), (3, 2)),
    changed('"rotation": 0', '"rotation": "1"', "bad", ("value.rotation: ",), (2, 1)),
    changed('"original_width": 60', '"original_width": 0', "read", (), (3, 3)),
]


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_it)


@pytest.mark.parametrize("width", ["0", "-60", "1e-320", "1e300", "NaN"])
def test_a_rotated_rectangle_needs_the_size_of_its_image(folder, width):
    text = (folder / FILE).read_text().replace('"rotation": 0', '"rotation": 5', 1)
    (folder / FILE).write_text(
        text.replace('"original_width": 60', f'"original_width": {width}', 1)
    )
    ((image_id, reason),) = read_it(folder).bad_images
    assert image_id == "a.jpg" and "size of a rotated rectangle's image" in reason
