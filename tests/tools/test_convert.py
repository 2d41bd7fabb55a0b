"""The tool that converts datasets; on real photographs, pycocotools counts what it wrote."""

import contextlib
import io
import os

import pycocotools.coco
import pytest

from detkit.data import VOC
from detkit.data.writers import WRITERS
from support import tiny
from support.environment import SHARED
from support.layouts import make, read, things

CELLS = ["RBC", "WBC", "Platelets"]
BCCD, PEOPLE = SHARED / "data/bccd", SHARED / "data/pennfudan"


def convert(*words):
    return tiny.tool("convert", *words)


def test_what_was_read_and_written_is_said(tmp_path, capsys):
    source = make(tmp_path / "source", "yolo")
    labels = source / "train/labels/a.txt"
    labels.write_text(labels.read_text() + "7 0.5 0.5 0.1 0.1\n0 0.5 0.5 0 0\n")
    (source / "train/images/b.jpg").write_bytes(b"")
    assert convert(source, "--to", "coco", "--out", tmp_path / "out") == 0
    tiny.assert_says(
        capsys.readouterr().out,
        "source: yolo (data.yaml",
        "train: 2 images, 2 objects of 2 classes",
        "1 bad images in 1 images:",
        "b.jpg: ",
        "2 dropped objects in 1 images:",
        'a.txt:3: "class 7"',
        "a.txt:4: ",
        "out: coco, 2 images, 2 objects",
    )
    assert list(things(read(tmp_path / "out"))) == ["a", "c"]


@pytest.mark.parametrize("to", WRITERS)
def test_a_folder_without_splits_becomes_train(tmp_path, to):
    source = make(tmp_path / "source", "csv")
    how = "copy" if to == "recordio" else "hardlink"
    assert convert(source, "--to", to, "--out", tmp_path / "out", "--images", how) == 0
    names = "\n".join(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*"))
    assert "train" in names and "all" not in names
    assert things(read(tmp_path / "out")) == things(read(source))


def test_what_the_layout_cannot_state_is_said(tmp_path, capsys):
    source = make(tmp_path / "source", "openimages")
    text = (source / "boxes.csv").read_text()
    (source / "boxes.csv").write_text(text.replace(",0,0,0\n", ",0,0,1\n", 1))
    assert convert(source, "--to", "yolo", "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "1 objects that it cannot state in 1 images:", "a.jpg: a difficult")


def test_the_source_and_other_files_are_safe(tmp_path, capsys):
    source = make(tmp_path / "source", "csv")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").touch()
    (tmp_path / "link").symlink_to(source)
    before = sorted(tmp_path.rglob("*"))
    for out, says in (
        (source, "outside of"),
        (source / "new", "outside of"),
        (tmp_path / "link/new", "outside of"),
        (tmp_path / "full", "an empty folder"),
    ):
        assert convert(source, "--to", "yolo", "--out", out) == 1
        assert says in capsys.readouterr().err
    assert convert(source / "boxes.csv", "--to", "yolo", "--out", source / "new") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_two_layouts_in_a_folder(tmp_path, capsys):
    source = make(tmp_path / "source", "csv")
    make(source, "labelme")
    words = (source, "--to", "voc", "--out", tmp_path / "out")
    assert convert(*words) == 1
    tiny.assert_says(capsys.readouterr().err, "labelme: ", "csv: ", "choose one")
    assert convert(*words, "--layout", "labelme") == 0
    (tmp_path / "none").mkdir()
    assert convert(tmp_path / "none", "--to", "voc", "--out", tmp_path / "b") == 1
    assert "expected one of these layouts" in capsys.readouterr().err


@pytest.mark.skipif(not BCCD.is_dir(), reason=f"{BCCD} is not there")
def test_blood_cells_counted_by_pycocotools(tmp_path):
    source = linked(tmp_path / "source", BCCD, "Annotations", "JPEGImages")
    (source / "ImageSets/Main").mkdir(parents=True)
    for split, first in (("train", 0), ("val", 20)):
        names = (BCCD / "ImageSets/Main/trainval.txt").read_text().splitlines()[first : first + 20]
        (source / f"ImageSets/Main/{split}.txt").write_text("\n".join(names))
    assert convert(source, "--to", "yolo", "--out", tmp_path / "yolo", "--images", "symlink") == 0
    words = ("--to", "coco", "--out", tmp_path / "coco", "--images", "symlink")
    assert convert(tmp_path / "yolo", *words) == 0
    for split in ("train", "val"):
        coco, dataset = index(tmp_path / "coco", split), VOC(str(source), [split], CELLS)
        boxes = sum(len(dataset.annotation(i).labels) for i in range(20))
        assert (len(coco.getImgIds()), len(coco.getAnnIds())) == (20, boxes)
        text = [(source / f"Annotations/{dataset.annotation(i).image_id}.xml") for i in range(20)]
        assert boxes == sum(file.read_text().count("<object>") for file in text)


@pytest.mark.skipif(not PEOPLE.is_dir(), reason=f"{PEOPLE} is not there")
def test_people_keep_their_masks(tmp_path):
    source = linked(tmp_path / "source", PEOPLE, "annotations/instances_test.json", "images")
    assert convert(source, "--to", "labelme", "--out", tmp_path / "a", "--images", "symlink") == 0
    words = ("--to", "coco", "--out", tmp_path / "b", "--images", "symlink")
    assert convert(tmp_path / "a", *words) == 0
    first, second = (index(folder, "test") for folder in (PEOPLE, tmp_path / "b"))
    assert areas(first) == areas(second)
    assert len(second.getAnnIds()) == 103


def linked(folder, source, *names):
    """A folder with links to parts of another."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(source / name)
    return folder


def index(folder, split):
    with contextlib.redirect_stdout(io.StringIO()):
        return pycocotools.coco.COCO(str(folder / f"annotations/instances_{split}.json"))


def areas(coco):
    """{file name: areas of the masks in pixels}."""
    return {
        os.path.basename(image["file_name"]): [
            int(coco.annToMask(entry).sum()) for entry in coco.imgToAnns[number]
        ]
        for number, image in coco.imgs.items()
    }
