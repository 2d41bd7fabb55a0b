"""What the writers share: new folders, names of images, links, and what is refused."""

import os

import numpy as np
import pytest

from detkit.data import Annotation
from detkit.data.writers import WRITERS, write_coco, write_voc, write_yolo
from detkit.errors import DataError
from support.layouts import make, read, things


class Named:
    """Images of the given ids, without files."""

    class_names, dropped, bad_images = ("x",), [], []

    def __init__(self, *ids):
        self.ids = ids

    def __len__(self):
        return len(self.ids)

    def annotation(self, index):
        boxes, labels = np.array([[1, 2, 8, 9]], np.float32), np.zeros(1, np.int32)
        return Annotation(self.ids[index], 20, 10, boxes, labels, np.zeros(1, bool))

    def image(self, index):
        return np.full((10, 20, 3), index, np.uint8)

    def masks(self, index):
        return None


@pytest.fixture
def dataset(tmp_path):
    return read(make(tmp_path / "source", "csv"))


@pytest.mark.parametrize("to", WRITERS)
def test_hostile_names_stay_within_the_folder(tmp_path, to):
    ids = ("../../a", "/etc/b", "c/../d", "C:\\e", "a\0b", ".", "..", "f" * 300, "é/ü", 7)
    WRITERS[to]({"train": Named(*ids)}, tmp_path / "deep/out")
    assert sorted(os.listdir(tmp_path)) == ["deep"]
    assert os.listdir(tmp_path / "deep") == ["out"]
    again = read(tmp_path / "deep/out")
    assert len(again) == len(ids) and again.bad_images == []
    assert sorted(again.image(i).max() for i in range(len(ids))) == list(range(len(ids)))


@pytest.mark.parametrize("to", ["coco", "voc"])
def test_names_that_would_be_the_same_get_numbers(tmp_path, to):
    WRITERS[to]({"train": Named("a", "A", "a/b", "a_b", "a.png")}, tmp_path / "out")
    names = {str(path).lower() for path in (tmp_path / "out").rglob("*.png")}
    assert len(names) == len(read(tmp_path / "out")) == 5


def test_voc_has_the_images_of_all_splits_in_one_folder(tmp_path):
    write_voc({"train": Named("a"), "val": Named("a")}, tmp_path / "out")
    lists = tmp_path / "out/ImageSets/Main"
    assert [(lists / f"{split}.txt").read_text() for split in ("train", "val")] == ["a\n", "a-2\n"]


@pytest.mark.parametrize("images", ["copy", "hardlink", "symlink"])
def test_images_are_copied_or_linked(tmp_path, dataset, images):
    before = {path: path.read_bytes() for path in (tmp_path / "source").iterdir()}
    write_yolo({"train": dataset}, tmp_path / "out", images)
    path = tmp_path / "out/images/train/a.jpg"
    assert path.is_symlink() == (images == "symlink")
    assert path.samefile(dataset.image_path(0)) == (images != "copy")
    assert things(read(tmp_path / "out")) == things(dataset)
    assert {path: path.read_bytes() for path in (tmp_path / "source").iterdir()} == before


def test_a_folder_with_files_is_not_written_to(tmp_path, dataset):
    (tmp_path / "out").mkdir()
    write_coco({"train": dataset}, tmp_path / "out")
    for out in (tmp_path / "out", tmp_path / "source/a.jpg"):
        with pytest.raises(DataError, match="expected a new or an empty folder"):
            write_coco({"train": dataset}, out)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file/out: cannot be written"):
        write_coco({"train": dataset}, tmp_path / "file/out")


def test_an_error_leaves_no_folder(tmp_path, dataset):
    (tmp_path / "source/b.jpg").unlink()
    with pytest.raises(DataError, match="b.jpg: cannot be written: No such file"):
        write_coco({"train": dataset}, tmp_path / "out")
    assert os.listdir(tmp_path) == ["source"]


def test_what_is_refused(tmp_path, dataset):
    with pytest.raises(ValueError, match="images: expected one of copy, .*found 'move'"):
        write_coco({"train": dataset}, tmp_path / "out", "move")
    with pytest.raises(DataError, match="same classes in each, found a: cat, dog; b: x"):
        write_coco({"a": dataset, "b": Named("a")}, tmp_path / "out")
    odd = Named("a")
    odd.class_names = ("a\nb",)
    with pytest.raises(DataError, match="class_names: .*control characters"):
        write_coco({"a": odd}, tmp_path / "out")
    with pytest.raises(DataError, match="name of a folder, found '../a'"):
        write_coco({"../a": dataset}, tmp_path / "out")


def test_voc_cannot_state_a_box_of_a_pixel(tmp_path):
    class Thin(Named):
        def annotation(self, index):
            boxes = np.array([[1, 2, 2, 9], [1, 2, 2.25, 9]], np.float32)
            return (
                super()
                .annotation(index)
                ._replace(boxes=boxes, labels=np.zeros(2, np.int32), difficult=np.zeros(2, bool))
            )

    written = write_voc({"train": Thin("a")}, tmp_path / "out")
    assert (written.images, written.objects) == (1, 1)
    assert written.left_out == [("a", '"x": a box of at most one pixel')]
    assert read(tmp_path / "out").annotation(0).boxes.tolist() == [[1, 2, 2.25, 9]]
