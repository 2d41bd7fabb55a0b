"""The reader of folders of VOC's XML: where files lie, and malformed files."""

import pytest

from detkit.data import VOCFolder
from detkit.errors import DataError
from support.layouts import Malformed, check, make, things

XML = "b.xml"
OBJECT = "<name>dog</name>"


def read_it(folder):
    return VOCFolder(str(folder))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, "voc-folder")


def test_xml_beside_the_images_or_apart_at_any_depth(folder, tmp_path):
    expected = things(read_it(folder))
    for name in ("xml/deep", "images/deep"):
        (folder / name).mkdir(parents=True)
    for file in (*folder.glob("*.xml"), *folder.glob("*.jpg")):
        below = "xml/deep" if file.suffix == ".xml" else "images/deep"
        file.rename(folder / below / file.name)
    dataset = VOCFolder(str(folder / "images"), str(folder / "xml"))
    assert things(dataset) == expected
    assert dataset.annotation(0).image_id == "deep/a.jpg"


def test_an_image_without_xml_has_no_object_and_xml_without_image_is_bad(folder):
    (folder / "b.xml").rename(folder / "d.xml")
    dataset = read_it(folder)
    assert things(dataset)["b"] == []
    ((image_id, reason),) = dataset.bad_images
    assert image_id == "d" and "d.xml: expected an image of this name" in reason


def test_difficult_objects(folder):
    text = (folder / XML).read_text().replace("<difficult>0", "<difficult>1")
    (folder / XML).write_text(text)
    assert things(read_it(folder))["b"] == [("dog", (20, 10, 40, 30), True)]


def test_folders_without_what_is_needed(folder, tmp_path):
    make(tmp_path / "yolo", "yolo")
    with pytest.raises(DataError, match="expected XML files in VOC's format, found none"):
        VOCFolder(str(tmp_path / "yolo"))
    with pytest.raises(DataError, match="none: expected a folder with XML files, found no such"):
        VOCFolder(str(folder), str(tmp_path / "none"))
    with pytest.raises(DataError, match="yolo/train/labels: expected a folder with images"):
        VOCFolder(str(tmp_path / "yolo/train/labels"), str(folder))


def changed(*rest):
    return Malformed(XML, *rest)


MALFORMED = [
    changed(None, "", "bad", ("b.xml:1: malformed XML",), (2, 2)),
    changed("</object>", "</objekt>", "bad", ("b.xml:3: malformed XML",), (2, 2)),
    changed("<annotation>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>", "bad",
            ("b.xml: ", "DOCTYPE"), (2, 2)),
    changed(None, b"<?xml version='1.0' encoding='u7'?><a/>", "bad", ("b.xml: ",), (2, 2)),
    changed(None, "<a>" * 3000, "bad", ("b.xml:1: ",), (2, 2)),
    changed(None, b"\xff\xfe", "bad", ("b.xml:1: ",), (2, 2)),
    changed(None, "<annotation/>", "read", (), (3, 2)),
    changed("<width>60", "<width>61", "bad", ("61 x 40 pixels of the annotation",), (2, 2)),
    changed("<width>60", "<width>0", "read", (), (3, 3)),
    changed("<width>60", "<width>inf", "read", (), (3, 3)),
    changed(OBJECT, "", "bad", ("b.xml: object 1: <name>: ", "found ''"), (2, 2)),
    changed(OBJECT, "<name> </name>", "bad", ("b.xml: object 1: <name>: ",), (2, 2)),
    changed("<xmin>21", "<xmin>left", "bad", ("b.xml: ", "<xmin>, found 'left'"), (2, 2)),
    changed("<xmin>21</xmin>", "", "bad", ("b.xml: ", "<xmin>, found None"), (2, 2)),
    changed("<xmin>21", "<xmin>nan", "dropped", ("b.jpg: ", "b.xml: ", "not finite"), (3, 2)),
    changed("<xmin>21", "<xmin>1e999", "dropped", ("b.xml: ", "no area"), (3, 2)),
    changed("<xmin>21", "<xmin>40", "dropped", ("box 40 11 40 30 has no area",), (3, 2)),
    changed("<xmin>21", "<xmin>50", "dropped", ("box 50 11 40 30 has no area",), (3, 2)),
    changed("<xmin>21", "<xmin>-21", "read", (), (3, 3)),
    changed("<ymin>11</ymin><xmax>40</xmax><ymax>30", "<ymin>51</ymin><xmax>40</xmax><ymax>60",
            "dropped", ("b.xml: ", "outside the image of 60 x 40"), (3, 2)),
    Malformed("b.jpg", None, b"\xff\xd8\xff", "bad", ("b.jpg: ", "truncated"), (2, 2)),
    Malformed("b.jpg", None, None, "bad", ("b.xml: expected an image",), (2, 2)),
]  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_it)
