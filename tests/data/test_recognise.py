"""Layouts are recognised by their files, splits by names, and images where they usually lie."""

import pytest

from detkit.data.layouts import LAYOUTS
from detkit.data.recognise import read_source, recognise
from detkit.errors import DataError
from fuzz.layouts import FILES, jpegs
from support.layouts import make, read, things


def test_every_layout_has_an_example():
    assert set(FILES) == set(LAYOUTS)


@pytest.mark.parametrize("layout", FILES)
def test_a_folder_is_recognised_and_nothing_else_fits(tmp_path, layout):
    found = recognise(make(tmp_path, layout))
    assert (found.layout, found.reason) == (layout, LAYOUTS[layout].has)
    (split,) = found.splits
    named = {"voc": "train", "coco": "train", "yolo": "train", "imagenet": "val"}
    assert split == named.get(layout, "all")


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("yolo", "data.yaml"),
        ("coco", "annotations/instances_train.json"),
        ("cvat", "annotations.xml"),
        ("labelstudio", "export.json"),
        ("openimages", "boxes.csv"),
        ("csv", "boxes.csv"),
        ("jsonl", "boxes.jsonl"),
    ],
)
def test_the_file_of_annotations_may_be_named(tmp_path, layout, file):
    folder = make(tmp_path, layout)
    assert recognise(folder / file).layout == layout
    assert things(read(folder / file)) == things(read(folder))


@pytest.mark.parametrize("layout", ["voc-folder", "labelme", "csv", "jsonl"])
def test_folders_of_splits(tmp_path, layout):
    for split in ("train", "valid", "test"):
        make(tmp_path / split, layout)
    found = recognise(tmp_path)
    assert (found.layout, list(found.splits)) == (layout, ["train", "val", "test"])
    for dataset in read_source(found).values():
        assert [len(objects) for objects in things(dataset).values()] == [2, 1, 0]


def test_roboflows_coco_has_a_file_in_each_folder(tmp_path):
    for split in ("train", "valid"):
        folder = make(tmp_path / split, "coco")
        name = folder / "_annotations.coco.json"
        (folder / "annotations/instances_train.json").rename(name)
        for image in jpegs():
            (folder / "images" / image).rename(folder / image)
    found = recognise(tmp_path)
    assert (found.layout, list(found.splits)) == ("coco", ["train", "val"])
    assert len(read_source(found)["val"]) == 3


def test_coco_2017(tmp_path):
    make(tmp_path, "coco")
    images, file = tmp_path / "images", tmp_path / "annotations/instances_train.json"
    file.rename(file.with_name("instances_train2017.json"))
    file.with_name("captions_train2017.json").write_text('{"images": [], "annotations": []}')
    file.with_name("person_keypoints_train2017.json").write_text("{}")
    images.rename(tmp_path / "train2017")
    (section,) = recognise(tmp_path).splits.values()
    assert section["images"] == str(tmp_path / "train2017")
    assert section["annotations"].endswith("instances_train2017.json")


def test_voc_of_several_years_and_other_lists(tmp_path):
    for year in ("VOC2007", "VOC2012"):
        make(tmp_path / year, "voc")
    (section,) = recognise(tmp_path).splits.values()
    assert section["splits"] == ["VOC2007/train", "VOC2012/train"]
    assert section["class_names"] == ["cat", "dog"]
    lists = make(tmp_path / "one", "voc") / "ImageSets/Main"
    (lists / "train.txt").rename(lists / "trainval.txt")
    assert list(recognise(tmp_path / "one").splits) == ["all"]
    (lists / "test.txt").write_text("c\n")
    assert list(recognise(tmp_path / "one").splits) == ["train", "test"]


def test_xml_apart_from_the_images(tmp_path):
    make(tmp_path, "voc")
    (tmp_path / "ImageSets/Main/train.txt").unlink()
    (tmp_path / "ImageSets/Main").rmdir()
    assert recognise(tmp_path).layout == "voc-folder"
    assert [len(objects) for objects in things(read(tmp_path)).values()] == [2, 1, 0]


def test_splits_with_other_classes_get_those_of_all(tmp_path):
    for split, old in (("train", ""), ("val", "cat")):
        folder = make(tmp_path / split, "csv")
        text = (folder / "boxes.csv").read_text()
        (folder / "boxes.csv").write_text(text.replace(old, "eel") if old else text)
    datasets = read_source(recognise(tmp_path))
    assert [each.class_names for each in datasets.values()] == [("cat", "dog", "eel")] * 2
    assert things(datasets["val"])["a"][0][0] == "eel"


def test_a_file_of_classes_gives_their_order(tmp_path):
    make(tmp_path, "labelme")
    (tmp_path / "classes.txt").write_text("dog\neel\ncat\n")
    assert read(tmp_path).class_names == ("dog", "eel", "cat")


def test_an_unknown_folder_says_what_was_looked_for_and_found(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    for words in (*LAYOUTS, "ImageSets/Main/*.txt", "found notes.txt, photos/"):
        assert words in str(caught.value)
    with pytest.raises(DataError, match="found an empty folder"):
        recognise(tmp_path / "photos")
    with pytest.raises(DataError, match="found a file of another kind"):
        recognise(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="no such folder"):
        recognise(tmp_path / "none")


def test_a_folder_of_two_layouts_needs_a_choice(tmp_path):
    make(tmp_path, "yolo")
    make(tmp_path, "coco")
    with pytest.raises(DataError) as caught:
        recognise(tmp_path)
    for words in ("coco: *.json with", "yolo: data.yaml", "choose one"):
        assert words in str(caught.value)
    assert recognise(tmp_path, "yolo").layout == "yolo"
    with pytest.raises(ValueError, match="layout: expected one of voc, .*found 'yollo'"):
        recognise(tmp_path, "yollo")
    with pytest.raises(DataError, match=r"these layouts: cvat: \*\.xml"):
        recognise(tmp_path, "cvat")


@pytest.mark.parametrize(
    ("layout", "file", "old", "new", "says"),
    [
        ("coco", "annotations/instances_train.json", "]}", "]", ":1: malformed JSON"),
        ("coco", "annotations/instances_train.json", None, "", ":1: malformed JSON"),
        ("labelstudio", "export.json", "}]}]", "}]", ":1: malformed JSON"),
        ("cvat", "annotations.xml", "</annotations>", "", "malformed XML: no element"),
        ("cvat", "annotations.xml", None, "<", ":1: malformed XML"),
        ("csv", "boxes.csv", "\n", '\n"', "expected a table"),
        ("openimages", "boxes.csv", "\n", "\n\udcff", "in UTF-8"),
        ("yolo", "data.yaml", "[", "[[", ":5: malformed YAML"),
        ("yolo", "data.yaml", "['cat', 'dog']", "3", "names: expected a list"),
    ],
)
def test_a_malformed_file_of_annotations_is_named_with_its_place(
    tmp_path, layout, file, old, new, says
):
    path = make(tmp_path, layout) / file
    data, new = path.read_bytes(), new.encode("utf-8", "surrogateescape")
    path.write_bytes(new if old is None else new.join(data.rsplit(old.encode(), 1)))
    if layout in ("csv", "openimages"):
        path.write_bytes(data.replace(old.encode(), new, 1))
    for place in (tmp_path, path):
        with pytest.raises(DataError) as caught:
            recognise(place)
        assert f"found 1 malformed file: {path}" in str(caught.value)
        assert says in str(caught.value)


def test_a_malformed_split_is_not_left_out(tmp_path):
    file = make(tmp_path, "coco") / "annotations/instances_train.json"
    file.with_name("instances_val.json").write_text(file.read_text()[:-9])
    with pytest.raises(DataError, match="instances_val.json:1: malformed JSON"):
        recognise(tmp_path)


def test_a_table_of_a_header_alone_has_no_objects(tmp_path):
    file = make(tmp_path, "csv") / "boxes.csv"
    file.write_text(file.read_text().partition("\n")[0])
    with pytest.raises(DataError, match="boxes.csv: expected objects, found none"):
        read(tmp_path)
