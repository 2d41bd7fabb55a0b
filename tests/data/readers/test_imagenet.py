"""The reader of ImageNet DET: its lists and synsets, and files that are malformed."""

import pytest

from detkit.data import ImageNetDET
from support.layouts import Malformed, check, make, things

XML, LIST, NAMES = "Annotations/DET/val/b.xml", "ImageSets/DET/val.txt", "map_det.txt"


def read_it(folder, split="val"):
    return ImageNetDET(str(folder), split, str(folder / NAMES))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path, "imagenet")


def test_a_list_of_one_class_has_its_images_below_train(folder):
    for part in ("Data/DET", "Annotations/DET"):
        (folder / part / "val").rename(folder / part / "train")
    (folder / "ImageSets/DET/train_1.txt").write_text("a\nc\n")
    (folder / "Annotations/DET/train/c.xml").unlink()
    dataset = read_it(folder, "train_1")
    assert list(things(dataset)) == ["a", "c"]
    assert dataset.class_names == ("cat", "dog")


MALFORMED = [
    Malformed(NAMES, None, None, "refused", ("map_det.txt: ", "No such file", "(none)")),
    Malformed(NAMES, None, "\n", "refused", ("map_det.txt: ", "found none")),
    Malformed(NAMES, " 2 dog", "", "refused", ("map_det.txt:2: ", "a synset, a number, a name")),
    Malformed(LIST, None, None, "refused", ("val.txt: ", "the split 'val'")),
    Malformed(LIST, None, "", "refused", ("found none; 0 images were read",)),
    Malformed(LIST, "b 2", "../b 2", "refused", ("val.txt:2: ", "below")),
    Malformed(LIST, "b 2", "/b", "refused", ("val.txt:2: ", "below")),
    Malformed(LIST, "b 2", "a 1", "refused", ("each image once, found twice: a.JPEG",)),
    Malformed(LIST, "b 2", "d 2", "bad", ("d.JPEG: no such file",), (2, 2)),
    Malformed(LIST, "b 2", "b\0 2", "bad", ("b\0.JPEG: no such file",), (2, 2)),
    Malformed(LIST, "b 2", "", "read", (), (2, 2)),
    Malformed(XML, None, None, "read", (), (3, 2)),
    Malformed(XML, None, "<a>", "bad", ("b.xml:1: malformed XML",), (2, 2)),
    Malformed(XML, "n02084071", "n7", "dropped", ("b.JPEG: ", '"n7" is not'), (3, 2)),
    Malformed(XML, "<xmin>20", "<xmin>?", "bad", ("b.xml: ", "'?'"), (2, 2)),
    Malformed(XML, "<xmin>20", "<xmin>39", "dropped", ("has no area",), (3, 2)),
    Malformed(XML, "<width>60", "<width>61", "bad", ("61 x 40",), (2, 2)),
    Malformed("Data/DET/val/b.JPEG", None, b"", "bad", ("b.JPEG: ", "0 bytes"), (2, 2)),
]


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_it)
