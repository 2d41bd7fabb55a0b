"""The reader of LabelMe's files: shapes, groups, and files that are malformed."""

import json

import pytest

from detkit.data import LabelMe
from detkit.errors import DataError
from support.layouts import Malformed, check, make, things

SQUARE = [[10, 5], [30, 5], [30, 25], [10, 25]]


def read_it(folder):
    return LabelMe(str(folder))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, "labelme")


def shape(**fields):
    return {"label": "cat", "points": SQUARE, "shape_type": "polygon", "flags": {}, **fields}


def with_shapes(folder, *shapes):
    content = json.loads((folder / "b.json").read_text())
    (folder / "b.json").write_text(json.dumps({**content, "shapes": shapes}))
    return read_it(folder)


def test_polygons_of_a_group_are_one_object(folder):
    second = [[40, 30], [50, 30], [50, 35]]
    dataset = with_shapes(
        folder,
        shape(group_id=3),
        shape(group_id=3, points=second),
        shape(group_id=3, label="dog"),
        shape(points=second),
        {"label": "dog", "points": second},
    )
    assert [box for _, box, _ in things(dataset)["b"]] == [
        (10, 5, 50, 35),
        (10, 5, 30, 25),
        (40, 30, 50, 35),
        (40, 30, 50, 35),
    ]
    assert dataset.segmentations(1)[0][0].tolist() == [10, 5, 30, 5, 30, 25, 10, 25]
    assert len(dataset.segmentations(1)[0]) == 2


def test_rectangles_in_any_order_and_difficult_ones(folder):
    dataset = with_shapes(
        folder,
        shape(shape_type="rectangle", points=[[30, 25], [10, 5]], flags={"difficult": True}),
        shape(shape_type="rectangle"),
    )
    assert things(dataset)["b"] == [
        ("cat", (10, 5, 30, 25), True),
        ("cat", (10, 5, 30, 25), False),
    ]


def test_an_image_is_found_by_the_name_of_its_file(folder):
    (folder / "below").mkdir()
    for name in ("b.json", "b.jpg"):
        (folder / name).rename(folder / "below" / name)
    content = json.loads((folder / "below/b.json").read_text())
    for path in ("..\\..\\photos\\b.jpg", "/home/me/b.jpg", "renamed.png"):
        (folder / "below/b.json").write_text(json.dumps({**content, "imagePath": path}))
        dataset = read_it(folder)
        ids = [dataset.annotation(index).image_id for index in range(3)]
        assert ids == ["a.jpg", "below/b.jpg", "c.jpg"]


MALFORMED = [
    Malformed("b.json", None, "", "bad", ("b.json:1: malformed JSON",), (2, 2)),
    Malformed("b.json", None, "[]", "bad", ("b.json: ", "an object, found list"), (2, 2)),
    Malformed("b.json", None, "[" * 90000, "bad", ("b.json: ", "a JSON file"), (2, 2)),
    Malformed("b.json", None, b'{"shapes": "\xff"}', "bad", ("b.json: ",), (2, 2)),
    Malformed("b.json", '"shapes"', '"shape"', "bad", ("b.json.shapes: ", "nothing"), (2, 2)),
    Malformed("b.json", '"label"', '"name"', "bad", ("shapes[0].label: ", "nothing"), (2, 2)),
    Malformed("b.json", '"dog"', '" "', "bad", ("shapes[0].label: ", "' '"), (2, 2)),
    Malformed("b.json", '"dog"', '"\\ud800"', "bad", ("shapes[0].label: ", "surrogate"), (2, 2)),
    Malformed("b.json", '"dog"', "7", "bad", ("shapes[0].label: ", "str, found 7"), (2, 2)),
    Malformed("b.json", "[20, 10]", "[20]", "bad", ("shapes[0].points: ", "[x, y]"), (2, 2)),
    Malformed("b.json", "[20, 10]", '["20", 1]', "bad", ("points: ", "numbers"), (2, 2)),
    Malformed("b.json", "[20, 10]", "[1e999, 1]", "dropped", ("b.jpg: ", "not finite"), (3, 2)),
    Malformed("b.json", "[20, 10]", f"[{'9' * 400}, 1]", "bad", ("points: ",), (2, 2)),
    Malformed("b.json", "[20, 10], ", "", "bad", ("2 or 4 corners, found 1",), (2, 2)),
    Malformed("b.json", "[20, 10]", "[40, 30]", "dropped", ("b.jpg: ", "no area"), (3, 2)),
    Malformed("b.json", '"rectangle"', '"circle"', "dropped", ("a 'circle' is",), (3, 2)),
    Malformed("b.json", '"rectangle"', "[1]", "dropped", ("shapes[0]", "a [1] is"), (3, 2)),
    Malformed("b.json", '"rectangle"', '"polygon"', "dropped", ("three corners",), (3, 2)),
    Malformed("b.json", '"b.jpg"', '"../../x.jpg"', "bad", ("imagePath: ", "below"), (2, 2)),
    Malformed("b.json", '"b.jpg"', "null", "bad", ("imagePath: ", "None"), (2, 2)),
    Malformed("b.json", '"b.jpg"', '"a\\u0000.jpg"', "read", (), (3, 3)),
    Malformed("b.json", '"imageWidth": 60', '"imageWidth": 61', "bad", ("61 x 40",), (2, 2)),
    Malformed("b.json", '"imageWidth": 60', '"imageWidth": "?"', "read", (), (3, 3)),
    Malformed("b.jpg", None, None, "bad", ("b.jpg: no such file",), (2, 2)),
    Malformed("x.json", None, "{}", "bad", ("x.json.shapes: ", "nothing"), (3, 3)),
]


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_it)


def test_a_folder_without_files_is_refused(tmp_path):
    for folder, says in ((tmp_path, "JSON files of LabelMe"), (tmp_path / "x", "no such folder")):
        with pytest.raises(DataError, match=says):
            read_it(folder)
