"""The reader of JSON lines: files that are malformed."""

import pytest

from detkit.data import JSONLines
from support.layouts import Malformed, check, make

FILE = "boxes.jsonl"
B = '{"class": "dog", "box": [20, 10, 40, 30]}'


def read_it(folder):
    return JSONLines(str(folder / FILE))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, "jsonl")


def changed(*rest):
    return Malformed(FILE, *rest)


MALFORMED = [
    changed(None, None, "refused", ("boxes.jsonl: ", "No such file")),
    changed(None, "", "refused", ("found none in 0 images",)),
    changed(None, b"\xff", "refused", ("boxes.jsonl: ", "UTF-8")),
    changed('{"image": "b.jpg"', '{"image": "b.jpg', "bad", ("boxes.jsonl:2: malformed",), (2, 2)),
    changed('{"image": "b.jpg"', "[" * 90000, "bad", ("boxes.jsonl:2: ",), (2, 2)),
    changed('{"image": "b.jpg"', '7\n{"image": "b.jpg"', "bad", ("boxes.jsonl:2: ",), (3, 3)),
    changed('"b.jpg"', "7", "bad", ("boxes.jsonl:2.image: ", "found 7"), (2, 2)),
    changed('"b.jpg"', '""', "bad", ("boxes.jsonl:2.image: ", "found ''"), (2, 2)),
    changed('"b.jpg"', '"\\ud800.jpg"', "bad", ("boxes.jsonl:2.image: ", "surrogate"), (2, 2)),
    changed('"b.jpg"', '"../../d.jpg"', "bad", ("boxes.jsonl:2.image: ", "below"), (2, 2)),
    changed('"b.jpg"', '"d.jpg"', "bad", ("d.jpg: no such file",), (2, 2)),
    changed('"b.jpg", "width": 60', '"b.jpg", "width": 61', "bad", ("61 x 40",), (2, 2)),
    changed('"b.jpg", "width": 60', '"b.jpg", "width": "60"', "read", (), (3, 3)),
    changed('"b.jpg", "width"', '"b.jpg", "widht"', "bad", (":2: ", "nearest is 'width'"), (2, 2)),
    changed(f'"objects": [{B}]', '"objects": 7', "bad", ("boxes.jsonl:2.objects: ",), (2, 2)),
    changed(B, "7", "bad", ("boxes.jsonl:2.objects[0]: ", "found int"), (2, 2)),
    changed(B, "{}", "bad", ("objects[0].class: ", "nothing"), (2, 2)),
    changed(B, '{"class": "dog"}', "bad", ("objects[0]: ", "box or polygons"), (2, 2)),
    changed(B, '{"class": "dog", "boxes": [1, 2, 3, 4]}', "bad", ("nearest is 'box'",), (2, 2)),
    changed(B, '{"class": " ", "box": [1, 2, 3, 4]}', "bad", ("objects[0].class: ",), (2, 2)),
    changed("[20, 10, 40, 30]", "[20, 10, 40]", "bad", ("objects[0].box: ", "x1, y1"), (2, 2)),
    changed("[20, 10, 40, 30]", '[20, 10, 40, "30"]', "bad", ("objects[0].box: ",), (2, 2)),
    changed("[20, 10, 40, 30]", f"[{'9' * 400}, 1, 2, 3]", "bad", ("objects[0].box: ",), (2, 2)),
    changed("[20, 10, 40, 30]", "[20, 10, 20, 30]", "dropped", ("b.jpg: ", "no area"), (3, 2)),
    changed("[20, 10, 40, 30]", "[NaN, 10, 20, 30]", "dropped", ("not finite",), (3, 2)),
    changed("[20, 10, 40, 30]", "[70, 10, 80, 30]", "dropped", ("outside", "60 x 40"), (3, 2)),
    changed("40, 30]}", '40, 30], "difficult": 1}', "bad", ("objects[0].difficult: ",), (2, 2)),
    changed(B, '{"class": "dog", "polygons": 7}', "bad", ("objects[0].polygons: ",), (2, 2)),
    changed(B, '{"class": "dog", "polygons": [7]}', "dropped", ("polygons of numbers",), (3, 2)),
    changed(B, '{"class": "dog", "polygons": [[1, 1]]}', "dropped", ("three corners",), (3, 2)),
    changed(B, '{"class": "dog", "polygons": []}', "dropped", ("neither a box",), (3, 2)),
]


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_it)
