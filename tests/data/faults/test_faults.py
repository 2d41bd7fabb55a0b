"""Each kind of fault is planted once in a clean dataset, found once, and mended in the copy."""

import json
import shutil

import cv2
import numpy as np
import pytest

from detkit.data import COCO, JSONLines, VOCFolder
from detkit.data.faults import KINDS, check, corrected
from detkit.data.faults.polygons import count_crossings
from detkit.data.recognise import read_source, recognise
from detkit.data.writers import write_coco
from support.layouts import paint

WIDTH, HEIGHT = 96, 64
CLASSES = ["cat", "dog"]
BOW = [10, 10, 40, 30, 40, 10, 10, 30]  # two triangles that meet in the middle
SQUARE = [10, 10, 40, 10, 40, 30, 10, 30]


def thing(box=(10, 10, 40, 30), name="cat", **changes):
    return {"class": name, "box": list(box), **changes}


def outlined(polygon, name="cat"):
    return {"class": name, "polygons": [polygon]}


class Tree:
    """Three images to train on and two to validate on, each with a cat and a dog."""

    def __init__(self, root):
        self.root, self.classes = root, CLASSES
        self.lines = {}
        for split, count in (("train", 3), ("val", 2)):
            (root / split).mkdir(parents=True)
            self.lines[split] = []
            for number in range(count):
                name = f"{split}{number}.jpg"
                paint(root / split / name, [len(split), number], (WIDTH, HEIGHT))
                objects = [thing(), thing((50, 20, 80, 60), "dog")]
                self.lines[split].append({"image": name, "objects": objects})

    def image(self, split, number):
        return self.root / split / f"{split}{number}.jpg"

    def read(self):
        for split, lines in self.lines.items():
            text = "".join(f"{json.dumps(line)}\n" for line in lines)
            (self.root / split / "boxes.jsonl").write_text(text)
        return {
            split: JSONLines(str(self.root / split / "boxes.jsonl"), class_names=self.classes)
            for split in self.lines
        }


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "data")


def objects(tree, number=1):
    return tree.lines["train"][number]["objects"]


def truncate(tree):
    path = tree.image("train", 1)
    path.write_bytes(path.read_bytes()[:-200])


def garble(tree):
    """A file whose beginning, size and end are right: only decoding shows that it is no image."""
    path = tree.image("train", 1)
    data = path.read_bytes()
    start = data.index(b"\xff\xdb")
    path.write_bytes(data[:start] + b"\xff\xdb\0\4ab" + data[data.index(b"\xff\xc0") :])


def near(tree):
    pixels = cv2.imread(str(tree.image("train", 0)))
    cv2.imwrite(str(tree.image("train", 1)), pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])


def outline_all(tree, odd):
    """Gives all objects squares, and the cat of an image another outline, or none."""
    for lines in tree.lines.values():
        for line in lines:
            line["objects"] = [outlined(SQUARE), outlined([30, 5, 60, 5, 60, 9, 30, 9], "dog")]
    objects(tree)[0] = outlined(odd) if odd else thing()


def rename_dogs(tree):
    tree.classes = ["cat", "dog", "Dog_"]
    objects(tree).append(thing((1, 1, 9, 9), "Dog_"))
    tree.lines["val"][0]["objects"].append(thing((1, 1, 9, 9), "Dog_"))


def only_in_train(tree):
    tree.classes = ["cat", "dog", "eel"]
    objects(tree).append(thing((1, 1, 9, 9), "eel"))


TRAIN1 = "boxes.jsonl:2.objects[2]"
PLANTED = {
    "missing": (lambda t: t.image("train", 1).unlink(), "train1.jpg", "no such file"),
    "truncated": (truncate, "train1.jpg", "truncated"),
    "unreadable": (garble, "train1.jpg", "OpenCV cannot decode"),
    "malformed": (lambda t: objects(t).append(thing(name=3)), f"{TRAIN1}.class", "expected str"),
    "size": (lambda t: t.lines["train"][1].update(width=97, height=64), "train1.jpg", "97 x 64"),
    "copy": (
        lambda t: shutil.copy(t.image("train", 0), t.image("train", 1)),
        "train0.jpg (train)",
        "train1.jpg (train)",
    ),
    "copy-across": (
        lambda t: shutil.copy(t.image("train", 0), t.image("val", 1)),
        "train0.jpg (train)",
        "val1.jpg (val)",
    ),
    "near-copy": (near, "train0.jpg (train)", "train1.jpg (train)"),
    "degenerate": (lambda t: objects(t).append(thing((5, 5, 5, 9))), TRAIN1, "5 5 5 9 has no area"),
    "outside": (lambda t: objects(t).append(thing((100, 5, 110, 9))), TRAIN1, "100 5 110 9 lies"),
    "tiny": (lambda t: objects(t).append(thing((5, 5, 7.5, 20))), TRAIN1, "2.5 x 15 pixels"),
    "duplicate": (
        lambda t: objects(t).append(thing((10, 10, 40, 30.5))),
        TRAIN1,
        "IoU 0.98 with that of",
    ),
    "crossing": (lambda t: outline_all(t, BOW), "boxes.jsonl:2.objects[0]", "cross at 1 place"),
    "no-polygon": (lambda t: outline_all(t, None), "boxes.jsonl:2.objects[0]", "has no polygon"),
    "other-class": (
        lambda t: objects(t).append(thing((1, 1, 9, 9), "Cat")),
        TRAIN1,
        '"Cat" is not in class_names (the nearest is \'cat\')',
    ),
    "unusable": (lambda t: objects(t).append(outlined([1, 1, 9, 9])), TRAIN1, "three corners"),
    "similar-classes": (rename_dogs, "class_names", "'dog' (5 objects), 'Dog_' (2 objects)"),
    "unused-class": (lambda t: setattr(t, "classes", [*CLASSES, "eel"]), "class_names", "'eel'"),
    "one-sided-class": (only_in_train, "class_names", "'eel' has 1 in train, 0 in val"),
}  # fmt: skip


def test_clean_data_is_clean(tree):
    assert check(tree.read()) == check(tree.read(), quick=True) == []


def test_every_kind_is_planted():
    assert set(KINDS) - set(PLANTED) == {"orientation", "near-copy-across"}  # tests of their own


@pytest.mark.parametrize("kind", PLANTED)
def test_a_fault_is_found_once_with_its_place_and_mended(tree, tmp_path, kind):
    plant, where, what = PLANTED[kind]
    plant(tree)
    splits = tree.read()
    faults = check(splits)
    assert [fault.kind for fault in faults] == [kind], faults
    assert where in faults[0].where and what in faults[0].what
    before = {path: path.read_bytes() for path in tree.root.rglob("*.*")}
    write_coco(corrected(splits, faults), tmp_path / "out")
    assert {path: path.read_bytes() for path in tree.root.rglob("*.*")} == before
    again = [fault.kind for fault in check(read_source(recognise(tmp_path / "out")))]
    assert again == ([] if KINDS[kind].mended else [kind])


def test_near_copies_in_two_splits(tree):
    pixels = cv2.imread(str(tree.image("train", 0)))
    cv2.imwrite(str(tree.image("val", 1)), pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])
    (fault,) = check(tree.read())
    assert (fault.kind, fault.splits) == ("near-copy-across", ("train", "val"))
    assert check(tree.read(), quick=True) == []


def test_quick_finds_exact_copies_and_truncated_files(tree):
    truncate(tree)
    shutil.copy(tree.image("train", 0), tree.image("train", 2))
    assert [f.kind for f in check(tree.read(), quick=True)] == ["truncated", "copy"]


def test_a_copy_in_the_split_to_judge_on_stays(tree):
    shutil.copy(tree.image("train", 0), tree.image("val", 1))
    splits = tree.read()
    fixed = corrected(splits, check(splits))
    assert {split: len(dataset) for split, dataset in fixed.items()} == {"train": 2, "val": 2}


def test_the_labelled_copy_stays(tree):
    shutil.copy(tree.image("train", 0), tree.image("train", 1))
    tree.lines["train"][0]["objects"] = []
    splits = tree.read()
    fixed = corrected(splits, check(splits))["train"]
    assert [fixed.annotation(i).image_id for i in range(2)] == ["train1.jpg", "train2.jpg"]


def coco(folder, polygons, **size):
    """A COCO dataset of one image of 60 x 40 pixels."""
    paint(folder / "a.jpg", 0)
    image = {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40, **size}
    things = [
        {"image_id": 1, "category_id": 7, "bbox": [5, 5, 50, 30], "segmentation": polygons},
        {"image_id": 1, "category_id": 7, "bbox": [61, 5, 20, 30], "segmentation": polygons},
    ]
    content = {"images": [image], "annotations": things, "categories": [{"id": 7, "name": "x"}]}
    (folder / "a.json").write_text(json.dumps(content))
    return {"train": COCO(str(folder / "a.json"), str(folder))}


def test_a_wrong_size_becomes_that_of_the_image(tmp_path):
    whole = {"size": [40, 90], "counts": [0, 3600]}
    splits = coco(tmp_path, whole, width=90)
    (fault,) = check(splits)
    assert fault.kind == "size" and "annotated with 90 x 40 pixels, found 60 x 40" in fault.what
    fixed = corrected(splits, [fault])["train"]
    annotation = fixed.annotation(0)
    assert (annotation.width, annotation.height) == (60, 40)
    assert annotation.boxes.tolist() == [[5, 5, 55, 35]]  # the other one lies outside
    assert [outline["size"] for outline in fixed.segmentations(0)] == [[40, 60]]
    assert fixed.category_ids == (7,)


@pytest.mark.parametrize("reader", ["coco", "voc-folder"])
def test_an_orientation_that_the_annotation_does_not_know(tmp_path, reader):
    splits = coco(tmp_path, [[5, 5, 55, 5, 55, 35]])
    data = (tmp_path / "a.jpg").read_bytes()
    tag = b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"  # orientation 6: a quarter turn
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + tag + b"\0\0\0\0"
    length = (len(exif) + 2).to_bytes(2, "big")
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1" + length + exif + data[2:])
    if reader == "voc-folder":
        box = "<xmin>5</xmin><ymin>5</ymin><xmax>20</xmax><ymax>20</ymax>"
        size = "<size><width>60</width><height>40</height></size>"
        text = f"<annotation>{{}}<object><name>x</name><bndbox>{box}</bndbox></object></annotation>"
        (tmp_path / "a.xml").write_text(text.format(size))
        (tmp_path / "b.xml").write_text(text.format(""))
        paint(tmp_path / "b.jpg", 1)
        splits = {"train": VOCFolder(str(tmp_path))}
    faults = [fault for fault in check(splits) if fault.kind != "outside"]
    assert [fault.kind for fault in faults] == ["orientation"]
    assert "a.jpg" in faults[0].where and "40 x 60" in faults[0].what


def test_crossings_are_those_that_single_pairs_of_edges_have():
    def cross(a, b, c, d):
        def side(p, q, r):
            return np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

        return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0

    rng = np.random.default_rng(0)
    for count in (3, 4, 5, 9):
        corners = rng.integers(0, 9, (count, 2))
        edges = [(corners[i], corners[(i + 1) % count]) for i in range(count)]
        pairs = [(a, b) for i, a in enumerate(edges) for b in edges[:i]]
        assert count_crossings(corners) == sum(cross(*a, *b) for a, b in pairs)
    circle = np.linspace(0, 2 * np.pi, 600, endpoint=False)
    assert count_crossings(np.stack([np.cos(circle), np.sin(circle)], axis=1)) == 0
    eight = np.stack([np.cos(circle + 0.01), np.sin(2 * circle + 0.02)], axis=1)
    assert count_crossings(eight) == 1


def test_the_keypoints_of_the_objects_that_are_left_stay(tmp_path):
    coco(tmp_path, [])
    content = json.loads((tmp_path / "a.json").read_text())
    content["categories"][0]["keypoints"] = ["nose"]
    for thing, box, x in zip(content["annotations"], ([5, 5, 2, 30], [9, 5, 20, 30]), (6, 12)):
        thing.update(bbox=box, keypoints=[x, 8, 2])
    (tmp_path / "a.json").write_text(json.dumps(content))
    splits = {"train": COCO(str(tmp_path / "a.json"), str(tmp_path))}
    write_coco(corrected(splits, check(splits)), tmp_path / "out")
    (dataset,) = read_source(recognise(tmp_path / "out")).values()
    assert dataset.annotation(0).boxes.tolist() == [[9, 5, 29, 35]]
    assert dataset.field("keypoints", 0).points.tolist() == [[[12.5, 8.5, 2]]]
