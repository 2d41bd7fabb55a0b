"""The reader of tables of boxes: headers, images without objects, and malformed files."""

import pytest

from detkit.data import CSV
from fuzz.layouts import jpegs
from support.layouts import Malformed, check, make, things

FILE = "boxes.csv"
B = "b.jpg,60,40,dog,20,10,40,30"


def read_it(folder):
    return CSV(str(folder / FILE))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, "csv")


@pytest.mark.parametrize(
    "table",
    [
        "filename,class,xmin,ymin,xmax,ymax\na.jpg,x,1,2,3,4\n",
        "\ufeffImage;Label;x1;y1;x2;y2\na.jpg;x;1;2;3;4\n",
        "path\tname\tleft\ttop\tright\tbottom\r\na.jpg\tx\t1\t2\t3\t4\r\n",
        'score,x_max,y_max,x_min,y_min,"label",image_path\n0.5,3,4,1,2,"x",/home/me/a.jpg\n',
    ],
)
def test_headers_of_many_programs(tmp_path, table):
    for name, data in jpegs().items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / FILE).write_text(table)
    assert things(read_it(tmp_path)) == {"a": [("x", (1, 2, 3, 4), False)]}


def test_images_apart_and_difficult_objects(tmp_path):
    make(tmp_path, "coco")
    file = tmp_path / FILE
    head = "filename,class,xmin,ymin,xmax,ymax,difficult\n"
    file.write_text(f"{head}a.jpg,x,1,2,3,4,1\na.jpg,x,1,2,3,4,0\na.jpg,,,,,,\n")
    dataset = CSV(str(file), str(tmp_path / "images"))
    assert [difficult for _, _, difficult in things(dataset)["a"]] == [True, False]


def changed(*rest):
    return Malformed(FILE, *rest)


MALFORMED = [
    changed(None, "", "refused", ("boxes.csv:1: ", "an empty line")),
    changed(None, None, "refused", ("boxes.csv: cannot be read",)),
    changed(None, "a.jpg,x,1,2,3,4\n", "refused", ("boxes.csv:1: ", "filename or image")),
    changed("xmin", "xleft", "refused", ("boxes.csv:1: ", "xmin or x_min or x1 or left")),
    changed(None, "filename,class,xmin,ymin,xmax,ymax\n", "refused", ("found none in 0 images",)),
    changed("dog", b"\xff", "refused", ("boxes.csv: ", "UTF-8")),
    changed("dog", '"dog', "refused", ("boxes.csv: expected a table",)),
    changed("dog", "x" * 140000, "refused", ("boxes.csv: expected a table", "field larger")),
    changed(B, f"{B},9", "bad", ("boxes.csv:4: ", "8 columns", "found 9"), (2, 2)),
    changed(B, "b.jpg,60,40,dog,20,10", "bad", ("boxes.csv:4: ", "found 6"), (2, 2)),
    changed(B, "", "read", (), (2, 2)),
    changed("b.jpg,", ",", "bad", ("boxes.csv:4: ", "image file, found ''"), (2, 2)),
    changed("b.jpg,", "../b.jpg,", "read", (), (3, 3)),
    changed("b.jpg,", "../d.jpg,", "bad", ("boxes.csv:4: ", "below"), (2, 2)),
    changed("b.jpg,", "d.jpg,", "bad", ("d.jpg: no such file",), (2, 2)),
    changed("b.jpg,60", "b.jpg,61", "bad", ("61 x 40 pixels of the annotation",), (2, 2)),
    changed("b.jpg,60", "b.jpg,wide", "bad", ("boxes.csv:4: ", "'wide'"), (2, 2)),
    changed("b.jpg,60", "b.jpg,", "read", (), (3, 3)),
    changed("b.jpg,60", "b.jpg,0", "read", (), (3, 3)),
    changed("c.jpg,60", "a.jpg,61", "bad", ("one size of 'a.jpg'",), (1, 1)),
    changed("dog,20", ",20", "bad", ("boxes.csv:4: class: ", "found ''"), (2, 2)),
    changed("dog,20", "dog,", "bad", ("boxes.csv:4: xmin: ", "found ''"), (2, 2)),
    changed("dog,20", "dog,left", "bad", ("boxes.csv:4: xmin: ", "'left'"), (2, 2)),
    changed("dog,20", "dog,nan", "dropped", ("b.jpg: ", "boxes.csv:4: ", "not finite"), (3, 2)),
    changed("dog,20", "dog,40", "dropped", ("boxes.csv:4: ", "no area"), (3, 2)),
    changed("dog,20,10,40", "dog,70,10,80", "dropped", ("boxes.csv:4: ", "outside"), (3, 2)),
    changed("dog,20", "dog," + "1" * 50, "bad", ("a longer text",), (2, 2)),
]


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_it)
