"""The reader of CVAT's XML: shapes, masks, and files that are malformed."""

import numpy as np
import pytest

from detkit.data import CVAT
from detkit.segmentations import decode
from support.layouts import Malformed, check, make, things

FILE = "annotations.xml"
NAMED, LABELLED = 'name="b.jpg" width="60"', 'label="dog" xtl="20"'
BOX = '<box label="dog" xtl="20" ytl="10" xbr="40" ybr="30"></box>'


def read_it(folder):
    return CVAT(str(folder / FILE), str(folder / "images"))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, "cvat")


def with_shape(folder, shape):
    text = (folder / FILE).read_text()
    assert BOX in text
    (folder / FILE).write_text(text.replace(BOX, shape))
    return read_it(folder)


def test_a_mask_is_read_along_the_rows_of_its_rectangle(folder):
    mask = '<mask label="dog" rle="1, 2, 1, 2" left="7" top="3" width="3" height="2"/>'
    dataset = with_shape(folder, mask)
    assert things(dataset)["b"] == [("dog", (8, 3, 10, 5), False)]
    (segmentation,) = dataset.segmentations(1)
    expected = np.zeros((40, 60), np.uint8)
    expected[3:5, 7:10] = [[0, 1, 1], [0, 1, 1]]
    np.testing.assert_array_equal(decode(segmentation, 40, 60), expected)


def test_polygons_rotated_boxes_and_difficult_ones(folder):
    dataset = with_shape(
        folder,
        '<polygon label="cat" points="10.5,5;30,5;30,25"><attribute name="difficult">true'
        '</attribute></polygon><box label="dog" xtl="20" ytl="10" xbr="40" ybr="30" rotation="45"/>'
        '<box label="dog" xtl="20" ytl="10" xbr="40" ybr="20" rotation="90"/>',
    )
    assert things(dataset)["b"] == [
        ("cat", (10.5, 5, 30, 25), True),
        ("dog", (15.86, 5.86, 44.14, 34.14), False),
        ("dog", (25, 5, 35, 25), False),
    ]


def test_classes_are_the_tasks_or_else_the_objects(folder):
    text = (folder / FILE).read_text()
    (folder / FILE).write_text(
        text.replace("<name>cat", "<name>eel</name></label><label><name>cat")
    )
    assert read_it(folder).class_names == ("eel", "cat", "dog")
    start, end = text.index("<meta>"), text.index("</meta>") + 7
    (folder / FILE).write_text(text[:start] + text[end:])
    assert read_it(folder).class_names == ("cat", "dog")


def mask(rle="1,2,1,2", left=7):
    return f'<mask label="dog" rle="{rle}" left="{left}" top="3" width="3" height="2"/>'


def changed(*rest):
    return Malformed(FILE, *rest)


MALFORMED = [
    changed(None, "", "refused", ("annotations.xml:1: malformed XML",)),
    changed("</meta>", "</metta>", "refused", ("annotations.xml:2: ", "mismatched")),
    changed("<annotations>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotations>", "refused",
            ("without entities", "DOCTYPE")),
    changed(None, "<annotation/>", "refused", ("found <annotation>",)),
    changed(None, "<annotations/>", "refused", ("found none", "CVAT for images 1.1")),
    changed(None, b"<?xml version='1.0' encoding='u7'?><a/>", "refused", ("annotations.xml",)),
    changed("<name>cat</name>", "<name/>", "refused", ("labels: ", "name of a class")),
    changed(None, None, "refused", ("annotations.xml: cannot be read",)),
    changed('name="b.jpg"', "", "bad", ("image 1.name: ", "None"), (2, 2)),
    changed('name="b.jpg"', 'name="../b.png"', "bad", ("image 1.name: ", "below"), (2, 2)),
    changed('name="b.jpg"', 'name="/home/b.jpg"', "read", (), (3, 3)),
    changed(NAMED, 'name="b.jpg" width="6e1"', "bad", ("image 1.width: ", "'6e1'"), (2, 2)),
    changed(NAMED, 'name="b.jpg" width="600000000"', "bad", ("at most 100000000 pixels",), (2, 2)),
    changed(NAMED, 'name="b.jpg" width="61"', "bad", ("61 x 40",), (2, 2)),
    changed(LABELLED, 'xtl="20"', "bad", ("'b.jpg': <box>.label", "None"), (2, 2)),
    changed('xtl="20"', 'xtl="left"', "bad", ("<box>.xtl: ", "'left'"), (2, 2)),
    changed('xtl="20"', "", "bad", ("<box>.xtl: ", "number"), (2, 2)),
    changed('xtl="20"', 'xtl="nan"', "dropped", ("b.jpg: ", "not finite"), (3, 2)),
    changed('xtl="20"', 'xtl="40"', "dropped", ("b.jpg: ", "no area"), (3, 2)),
    changed(BOX, BOX.replace("20", "70").replace("40", "90"), "dropped", ("outside",), (3, 2)),
    changed(BOX, '<polyline label="dog" points="1,2;3,4"/>', "dropped", ("<polyline>",), (3, 2)),
    changed(BOX, '<polygon label="dog" points="1,2;3"/>', "bad", ("x,y;x,y",), (2, 2)),
    changed(BOX, '<polygon label="dog" points="1,2;3,4"/>', "dropped", ("three",), (3, 2)),
    changed(BOX, '<polygon label="dog" points="1,2;3,4;1e9,5"/>', "dropped",
            ("corners from -60 to 120",), (3, 2)),
    changed(BOX, mask(rle="1,2,1"), "bad", ("<mask>.rle: ", "3 x 2", "found 4"), (2, 2)),
    changed(BOX, mask(rle="1,2,-1"), "bad", ("<mask>.rle: ", "whole numbers"), (2, 2)),
    changed(BOX, mask(left=58), "bad", ("<mask>: ", "within the image of 60 x 40"), (2, 2)),
    changed(BOX, mask(rle="6"), "dropped", ("no area",), (3, 2)),
    changed(LABELLED, 'label="Dog" xtl="20"', "dropped", ("nearest is 'dog'",), (3, 2)),
]  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_it)
