"""The reader of Open Images' tables: groups, names, and files that are malformed."""

import pytest

from detkit.data import OpenImages
from support.layouts import Malformed, check, make, things

BOXES, NAMES = "boxes.csv", "class-descriptions.csv"
B = "b,verified,/m/0bt9lr,1,"


def read_it(folder):
    return OpenImages(str(folder / BOXES), str(folder / "images"), str(folder / NAMES))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, "openimages")


def test_groups_are_difficult(folder):
    text = (folder / BOXES).read_text()
    *lines, last = text.splitlines()
    assert last.startswith("b,") and last.endswith(",0")
    (folder / BOXES).write_text("\n".join([*lines, last[:-1] + "1"]))
    assert things(read_it(folder))["b"] == [("dog", (20, 10, 40, 30), True)]


def test_all_names_of_the_table_are_classes_in_its_order(folder):
    (folder / NAMES).write_text("LabelName,DisplayName\n/m/0bt9lr,dog\n/m/x,eel\n/m/01yrx,cat\n")
    assert read_it(folder).class_names == ("dog", "eel", "cat")
    without = OpenImages(str(folder / BOXES), str(folder / "images"))
    assert without.class_names == ("/m/01yrx", "/m/0bt9lr")


MALFORMED = [
    Malformed(BOXES, None, "", "refused", ("boxes.csv:1: ", "an empty line")),
    Malformed(BOXES, None, None, "refused", ("boxes.csv: cannot be read",)),
    Malformed(BOXES, "ImageID", "Image", "refused", ("boxes.csv:1: ", "columns imageid")),
    Malformed(BOXES, "XMin,XMax", "X,W", "refused", ("xmin; xmax",)),
    Malformed(BOXES, "IsGroupOf", "IsGroup", "read", (), (2, 3)),
    Malformed(BOXES, "verified", '"verified', "refused", ("boxes.csv: expected a table",)),
    Malformed(BOXES, "verified", b"\xff", "refused", ("boxes.csv: ", "UTF-8")),
    Malformed(BOXES, B, B + "1,", "bad", ("boxes.csv:4: ", "11 columns", "found 12"), (1, 2)),
    Malformed(BOXES, B, "b,", "bad", ("boxes.csv:4: ", "found 8"), (1, 2)),
    Malformed(BOXES, B, B[1:], "bad", ("boxes.csv:4: ", "image file, found ''"), (1, 2)),
    Malformed(BOXES, B, "../b" + B[1:], "read", (), (2, 3)),
    Malformed(BOXES, B, "../d" + B[1:], "bad", ("boxes.csv:4: ", "below"), (1, 2)),
    Malformed(BOXES, B, "d" + B[1:], "bad", ("d.jpg: no such file",), (1, 2)),
    Malformed(BOXES, B, "b,verified,,1,", "bad", ("boxes.csv:4: LabelName: ",), (1, 2)),
    Malformed(BOXES, B, "b,verified,/m/dog,1,", "dropped", ("b.jpg: ", '"/m/dog"'), (2, 2)),
    Malformed(BOXES, B + "0.3", B + "left", "bad", ("boxes.csv:4: xmin: ",), (1, 2)),
    Malformed(BOXES, B + "0.3", B + "0.9", "dropped", ("boxes.csv:4: ", "no area"), (2, 2)),
    Malformed(BOXES, B + "0.", B + "-inf,0.", "bad", ("found 12",), (1, 2)),
    Malformed(BOXES, B + "0.3", B + "nan", "bad", ("boxes.csv:4: xmin: ", "nan3333"), (1, 2)),
    Malformed("images/b.jpg", None, b"", "bad", ("b.jpg: ", "0 bytes"), (1, 2)),
    Malformed(NAMES, None, None, "refused", ("class-descriptions.csv: ", "No such file")),
    Malformed(NAMES, None, "", "refused", ("class-descriptions.csv: ", "found none")),
    Malformed(NAMES, ",dog", "", "refused", ("class-descriptions.csv:2: ", "label and a name")),
    Malformed(NAMES, ",dog", ",", "refused", ("class-descriptions.csv:2: ", "name of a class")),
    Malformed(NAMES, "/m/01yrx,", '"/m/01yrx,', "refused", ("class-descriptions.csv:1: ",)),
    Malformed(NAMES, ",dog", "," + "x" * 140000, "read", (), (2, 3)),
]


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_it)
