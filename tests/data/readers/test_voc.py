"""The VOC reader: what it accepts, what it drops and records, and what it says when it cannot."""

import cv2
import numpy as np
import pytest

from detkit.data.readers.voc import VOC, VOC_CLASSES
from detkit.errors import DataError, ImageError
from support.environment import SHARED

BCCD = SHARED / "data/bccd"
CELLS = ["RBC", "WBC", "Platelets"]
needs_bccd = pytest.mark.skipif(not BCCD.is_dir(), reason=f"{BCCD} is not there")

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>
<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax>
</bndbox></object>"""
SIZE = "<size><width>{}</width><height>{}</height><depth>3</depth></size>"


def thing(box, name="dog", difficult=0):
    return OBJECT.format(box=box, name=name, difficult=difficult)


class Tree:
    """A small VOC folder of images of 60 x 40 pixels."""

    def __init__(self, root):
        self.root = root
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (root / folder).mkdir(parents=True)

    def add(self, name, *objects, size=(60, 40), filename=None, image=None, split="train"):
        tag = f"<filename>{filename or name + '.jpg'}</filename>"
        size_tag = SIZE.format(*size) if size else ""
        self.xml(name).write_text(f"<annotation>{tag}{size_tag}{''.join(objects)}</annotation>")
        pixels = np.full((40, 60, 3), 90, np.uint8)
        cv2.imwrite(str(self.root / "JPEGImages" / (image or f"{name}.jpg")), pixels)
        with open(self.root / "ImageSets" / "Main" / f"{split}.txt", "a") as listing:
            listing.write(f"{name}\n")

    def xml(self, name):
        return self.root / "Annotations" / f"{name}.xml"

    def read(self, splits=("train",), **options):
        return VOC(str(self.root), list(splits), **options)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "data")


def test_corners_become_0_based_and_continuous(tree):
    tree.add("a", thing((1, 1, 60, 40)), thing((10, 20, 30, 35), "cat"))
    dataset = tree.read()
    annotation = dataset.annotation(0)
    assert dataset.class_names == VOC_CLASSES and len(VOC_CLASSES) == 20
    assert annotation.boxes.tolist() == [[0, 0, 60, 40], [9, 19, 30, 35]]
    assert annotation.boxes.dtype == np.float32 and annotation.labels.dtype == np.int32
    assert [dataset.class_names[label] for label in annotation.labels] == ["dog", "cat"]
    assert (annotation.image_id, annotation.width, annotation.height) == ("a", 60, 40)
    assert dataset.image(0).shape == (40, 60, 3) and dataset.masks(0) is None
    assert dataset.dropped == dataset.bad_images == []


def test_float_coordinates_are_read_and_boxes_clipped(tree):
    tree.add(
        "a", thing((1.5, "2.25", 30.75, 20)), thing((-9, -9, 70.5, 99)), thing((60.5, 1, 80, 9))
    )
    boxes = tree.read().annotation(0).boxes
    assert boxes.tolist() == [[0.5, 1.25, 30.75, 20], [0, 0, 60, 40], [59.5, 0, 60, 9]]


@pytest.mark.parametrize(
    "box, reason",
    [
        ((10, 10, 10, 10), "box 10 10 10 10 has no area"),
        ((30, 10, 20, 15), "box 30 10 20 15 has no area"),
        ((61, 1, 90, 20), "box 61 1 90 20 lies outside"),
        ((1, -20, 9, 0), "box 1 -20 9 0 lies outside"),
        (("nan", 1, 9, 9), "box nan 1 9 9 is not finite"),
        ((1, 1, "inf", 9), "box 1 1 inf 9 is not finite"),
    ],
)
def test_unusable_boxes_are_dropped_with_their_numbers(tree, box, reason):
    tree.add("a", thing(box), thing((1, 1, 9, 9), "cat"))
    dataset = tree.read()
    assert [dataset.class_names[label] for label in dataset.annotation(0).labels] == ["cat"]
    ((image_id, said),) = dataset.dropped
    assert image_id == "a" and said.startswith(f'{tree.xml("a")}: object 1: "dog": {reason}')
    assert "outside" not in said or "60 x 40 pixels" in said


def test_difficult_objects(tree):
    tree.add("a", thing((1, 1, 9, 9), difficult=1), thing((2, 2, 8, 8)))
    assert tree.read().annotation(0).difficult.tolist() == [True, False]
    assert tree.read(difficult="keep").annotation(0).difficult.tolist() == [False, False]
    dropping = tree.read(difficult="drop")
    assert dropping.annotation(0).boxes.tolist() == [[1, 1, 8, 8]]
    ((image_id, reason),) = dropping.dropped
    assert image_id == "a" and '"dog": it is marked difficult' in reason


def test_own_classes_from_a_list_or_a_file(tree, tmp_path):
    tree.add("a", thing((1, 1, 9, 9), "bolt"), thing((1, 1, 9, 9), "nut"), thing((2, 2, 3, 3), "x"))
    names = tmp_path / "names.txt"
    names.write_text("nut\n\nbolt \n")
    for class_names in (["nut", "bolt"], str(names)):
        dataset = tree.read(class_names=class_names)
        assert dataset.class_names == ("nut", "bolt")
        assert dataset.annotation(0).labels.tolist() == [1, 0]
        ((image_id, reason),) = dataset.dropped
        assert image_id == "a" and '"x"' in reason and "class_names" in reason


def test_a_class_list_that_fits_nothing_is_an_error(tree):
    tree.add("a", thing((1, 1, 9, 9), "bolt"), thing((1, 1, 9, 9), "nut"))
    with pytest.raises(DataError, match="1 images.*2 objects.*bolt, nut; class_names: .*dog"):
        tree.read()


def test_an_image_without_objects_stays(tree):
    tree.add("a", thing((1, 1, 9, 9)))
    tree.add("b")
    annotation = tree.read().annotation(1)
    assert annotation.boxes.shape == (0, 4) and annotation.labels.shape == (0,)


def test_splits_are_joined_and_an_image_counts_once(tree):
    tree.add("a", thing((1, 1, 9, 9)), split="train")
    tree.add("b", thing((1, 1, 9, 9)), split="val")
    (tree.root / "ImageSets/Main/trainval.txt").write_text("a  1\n\nb -1\n")
    for splits in (["train", "val"], ["trainval"], ["train", "trainval"]):
        dataset = tree.read(splits)
        assert [dataset.annotation(i).image_id for i in range(len(dataset))] == ["a", "b"]


def test_years_are_read_together_and_ids_kept_apart(tmp_path):
    for year, names in (("VOC2007", "ab"), ("VOC2012", "bc")):
        tree = Tree(tmp_path / year)
        for name in names:
            tree.add(name, thing((1, 1, 9, 9)))

    def ids(*splits):
        dataset = VOC(str(tmp_path), splits)
        return [dataset.annotation(i).image_id for i in range(len(dataset))]

    assert ids("VOC2007/train") == ["a", "b"]
    assert ids("VOC2007/train", "VOC2012/train") == [
        "VOC2007/a",
        "VOC2007/b",
        "VOC2012/b",
        "VOC2012/c",
    ]


def test_the_image_is_found_by_its_tag_or_by_its_id(tree):
    tree.add("a", thing((1, 1, 9, 9)), filename="other.png", image="other.png")
    tree.add("b", thing((1, 1, 9, 9)), filename="C:\\moved\\away.jpg", image="b.png")
    tree.add("c", thing((1, 1, 9, 9)), filename="/home/me/c shot.jpeg", image="c shot.jpeg")
    dataset = tree.read()
    assert all(dataset.image(index).shape == (40, 60, 3) for index in range(3))


def test_a_stale_tag_does_not_win_over_the_id(tree):
    tree.add("a", thing((1, 1, 9, 9)), filename="b.jpg")
    tree.add("b", thing((1, 1, 9, 9)))
    cv2.imwrite(str(tree.root / "JPEGImages" / "a.jpg"), np.zeros((40, 60, 3), np.uint8))
    assert tree.read().image(0).max() == 0


@pytest.mark.parametrize("size", [None, (0, 0), ("?", "?"), ("inf", 40)])
def test_a_missing_size_is_learned_from_the_image(tree, size):
    tree.add("a", thing((1, 1, 99, 99)), size=size)
    annotation = tree.read().annotation(0)
    assert (annotation.width, annotation.height) == (60, 40)
    assert annotation.boxes.tolist() == [[0, 0, 60, 40]]


def test_bad_images_are_left_out_and_recorded(tree):
    for name in "abc":
        tree.add(name, thing((1, 1, 9, 9)))
    (tree.root / "JPEGImages/a.jpg").write_bytes(b"")
    broken = tree.root / "JPEGImages/c.jpg"
    broken.write_bytes(broken.read_bytes()[:-30])
    dataset = tree.read()
    assert [dataset.annotation(i).image_id for i in range(len(dataset))] == ["b"]
    (first, empty), (second, truncated) = dataset.bad_images
    assert (first, second) == ("a", "c")
    assert "a.jpg: " in empty and "0 bytes" in empty and "JPEG truncated after" in truncated


def test_an_image_that_breaks_later_is_an_image_error(tree):
    tree.add("a", thing((1, 1, 9, 9)))
    dataset = tree.read()
    (tree.root / "JPEGImages/a.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ImageError, match=r"a\.jpg: .*JPEG truncated"):
        dataset.image(0)


def test_malformed_xml_is_named_with_its_line(tree):
    tree.add("a", thing((1, 1, 9, 9)))
    tree.xml("a").write_text("<annotation>\n<object>\n</annotation>\n")
    with pytest.raises(DataError, match=r"a\.xml:3: malformed XML: mismatched tag"):
        tree.read()


def test_entities_are_refused(tree):
    tree.add("a", thing((1, 1, 9, 9)))
    tree.xml("a").write_text(
        '<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>'
    )
    with pytest.raises(DataError, match=r"a\.xml: .*entities.*DOCTYPE"):
        tree.read()


def test_all_malformed_and_missing_files_are_listed_at_once(tree):
    for name in "abcdef":
        tree.add(name, thing((1, 1, 9, 9)))
    tree.xml("a").write_text("<annotation>\n<object>")
    tree.xml("b").write_text("")
    tree.xml("c").unlink()
    (tree.root / "JPEGImages/d.jpg").unlink()
    # The image is left out as a whole, and its other objects are then not dropped.
    tree.add("g", thing((9, 9, 9, 9)), thing((1, "left", 9, 9)), thing((1, "", 9, 9)))
    dataset = tree.read()
    assert [dataset.annotation(i).image_id for i in range(len(dataset))] == ["e", "f"]
    bad = dict(dataset.bad_images)
    assert list(bad) == ["a", "b", "c", "d", "g"] and dataset.dropped == []
    for name, says in (
        ("a", "a.xml:2: malformed XML"),
        ("b", "b.xml:1: malformed XML"),
        ("c", "c.xml: no such file"),
        ("d", "d.jpg: no such file"),
        ("g", "g.xml: object 2: \"dog\": expected a number as <ymin>, found 'left'"),
    ):
        assert says in bad[name]


def test_if_nothing_is_left_the_reasons_are_said(tree):
    for name in "ab":
        tree.add(name, thing((1, 1, 9, 9)))
        (tree.root / f"JPEGImages/{name}.jpg").unlink()
    with pytest.raises(DataError, match=r"2 cannot be used.*a\.jpg: no such file, .*b\.jpg: no"):
        tree.read()


def test_a_missing_split_names_those_that_exist(tree):
    tree.add("a", thing((1, 1, 9, 9)))
    with pytest.raises(DataError, match=r"trainval\.txt: .*No such file.*Main: train\.txt"):
        tree.read(["trainval"])
    with pytest.raises(DataError, match=r"VOC2007/ImageSets/Main: \(none\)"):
        tree.read(["VOC2007/train"])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"difficult": "maybe"}, "difficult: .*ignore, keep, drop, found 'maybe'"),
        ({"splits": "train"}, r"splits: .*\['trainval'\], found 'train'"),
        ({"splits": []}, r"splits: .*found \[\]"),
        ({"class_names": []}, "class_names: .*found none"),
        ({"class_names": ["a", "b", "a"]}, "class_names: .*found 'a' more than once"),
    ],
)
def test_senseless_arguments_are_refused(tree, options, message):
    with pytest.raises(ValueError, match=message):
        VOC(**{"root": str(tree.root), "splits": ["train"], **options})


@needs_bccd
def test_bccd_is_read_whole():
    trainval = VOC(str(BCCD), ["trainval"], CELLS)
    test = VOC(str(BCCD), ["test"], CELLS)
    assert (len(trainval), len(test)) == (292, 72)
    boxes = sum(len(d.annotation(i).labels) for d in (trainval, test) for i in range(len(d)))
    assert boxes == 4886
    assert [image_id for image_id, _ in trainval.dropped] == [
        "BloodImage_00338",
        "BloodImage_00343",
    ]
    assert all("has no area" in reason for _, reason in trainval.dropped)
    assert test.dropped == trainval.bad_images == test.bad_images == []
    assert test.image(0).shape == (480, 640, 3)


@pytest.mark.parametrize("kind", ["none", "a file"])
def test_a_root_that_is_no_folder_is_looked_for_where_it_says(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/mine").mkdir(parents=True)
    if kind == "a file":
        (tmp_path / "data/mina").touch()
    with pytest.raises(DataError) as caught:
        VOC("data/mina", ["train"])
    message = f"root: expected a folder, found {kind} at data/mina"
    assert str(caught.value).startswith(f"{message} (in the working directory {tmp_path})")
    assert "did you mean 'mine'" in str(caught.value)
    with pytest.raises(DataError, match=f"found {kind} at {tmp_path}/data/mina; did you mean"):
        VOC(f"{tmp_path}/data/mina", ["train"])
