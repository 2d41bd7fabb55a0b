"""Bad data is skipped, counted and listed; too much of it stops the run."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import detkit
from detkit.errors import ImageError
from support import tiny

SPLIT = "{{type: VOC, root: voc, splits: [{}], class_names: [{}]}}"


# --- datasets -------------------------------------------------------------------------------------


@pytest.fixture
def voc(project):
    """Adds an image to voc/; eight to train, two to val."""

    def add(name, split, *objects):
        folder = project / "voc"
        for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"JPEGImages/{name}.jpg"), np.full((64, 64, 3), 99, np.uint8))
        tags = ("xmin", "ymin", "xmax", "ymax")
        boxes = [
            f"<object><name>{label}</name><bndbox>"
            + "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(tags, corners))
            + "</bndbox></object>"
            for label, *corners in objects or [("cat", 5, 5, 30, 30)]
        ]
        size = "<size><width>64</width><height>64</height></size>"
        xml = f"<annotation>{size}{''.join(boxes)}</annotation>"
        (folder / f"Annotations/{name}.xml").write_text(xml)
        with open(folder / f"ImageSets/Main/{split}.txt", "a") as file:
            file.write(f"{name}\n")

    for index in range(8):
        add(f"train{index}", "train")
    for index in range(2):
        add(f"val{index}", "val")
    return add


def data(train="train", val="val", names="cat", val_names="cat"):
    """The overrides that choose splits of voc/."""
    chosen = (("train", SPLIT.format(train, names)), ("val", SPLIT.format(val, val_names)))
    return ["--set", *(f"data.{key}={value}" for key, value in chosen)]


def truncate(name):
    path = Path(f"voc/JPEGImages/{name}.jpg")
    path.write_bytes(path.read_bytes()[:200])


def garble(name):
    """A file whose beginning and end are right: only decoding shows that it is no image."""
    Path(f"voc/JPEGImages/{name}.jpg").write_bytes(b"\xff\xd8\xff\xdb\0\4ab\xff\xd9")


def test_datasets_that_are_not_there(refused, voc):
    (Path("voc/ImageSets/Main/none.txt")).touch()
    for chosen, fragments in (
        (data(train="trian"), ["ImageSets/Main/trian.txt: ", "the split 'trian'", "train.txt"]),
        (data(train="none"), ["voc: ", "found none; 0 images were read"]),
        (data(names="dog", val_names="dog"), ["data: cat;", "class_names: dog"]),
    ):
        message = refused("train", "configs/tiny.yaml", "--dry-run", *chosen)
        tiny.assert_says(message, *fragments)
    for name in ("train3", "train5"):
        Path(f"voc/JPEGImages/{name}.jpg").unlink()
    message = refused("train", "configs/tiny.yaml", "--dry-run", *data())
    tiny.assert_says(message, "2 of 8 images", "train3.jpg: no such", "train5.jpg: no such")


def test_class_lists_that_differ(refused, voc):
    message = refused("train", "configs/tiny.yaml", "--dry-run", *data(val_names="cat, dog"))
    tiny.assert_says(message, "data.val: ", "['cat', 'dog']", "data.train")
    best = "work/checkpoints/best"
    message = refused("test", "configs/tiny.yaml", best, *data())
    tiny.assert_says(message, f"{best}: ", "['circle'", "data.val", "['cat']")
    resumed = ("--work-dir", "new", "--resume", best, "--force", *data())
    message = refused("train", "configs/tiny.yaml", *resumed)
    tiny.assert_says(message, "checkpoints/step-00000003: ", "['circle'", "data.train", "['cat']")


def test_annotations_that_cannot_be_read(refused, voc):
    xml = Path("voc/Annotations/train2.xml")
    lines = '<!DOCTYPE a [<!ENTITY l "ha"><!ENTITY b "&l;&l;&l;">]><annotation>&b;</annotation>'
    for text, fragments in (
        (lines, ["train2.xml: ", "entities", "DOCTYPE"]),
        ("<annotation>\n<object>", ["train2.xml:2: ", "malformed XML"]),
    ):
        xml.write_text(text)
        Path("voc/Annotations/train3.xml").write_text("")
        message = refused("train", "configs/tiny.yaml", "--dry-run", *data())
        tiny.assert_says(message, "2 of 8 images", *fragments, "train3.xml:1: malformed XML")


def test_boxes_that_cannot_be_used_are_counted_and_listed(voc, capsys):
    voc("odd", "train", ("cat", 9, 9, 9, 9), ("cat", 70, 70, 90, 90), ("cat", 5, 5, 99, 99))
    assert tiny.tool("train", "configs/tiny.yaml", "--work-dir", "new", *data()) == 0
    tiny.assert_says(
        capsys.readouterr().out, "2 boxes dropped", 'odd.xml: object 1: "cat": box 9 9 9 9 '
    )
    dropped = tiny.records("new", "dropped_box")
    assert [record["image_id"] for record in dropped] == ["odd", "odd"]
    tiny.assert_says(dropped[1]["reason"], "box 70 70 90 90", "outside", "64 x 64")


def test_a_bad_image_is_skipped_and_listed(voc, capsys):
    truncate("train4")
    assert tiny.tool("train", "configs/tiny.yaml", "--work-dir", "new", *data()) == 0
    tiny.assert_says(capsys.readouterr().out, "1 bad images", "train4: voc/JPEG")
    (record,) = tiny.records("new", "bad_image")
    assert record["image_id"] == "train4"
    assert "JPEG truncated after 200 bytes" in record["reason"]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_proves_bad_on_the_way_is_skipped_and_listed(voc, workers, capsys):
    garble("train4")
    garble("val1")
    options = ("--work-dir", "new", *data(), f"data.workers={workers}")
    assert tiny.tool("train", "configs/tiny.yaml", *options) == 0
    printed = capsys.readouterr().out
    actual = {record["image_id"]: record["reason"] for record in tiny.records("new", "bad_image")}
    assert sorted(actual) == ["train4", "val1"]
    for image_id, reason in actual.items():
        assert "OpenCV" in reason
        assert printed.count(f"skipped {image_id}: {reason}") == 1


def test_boxes_outside_the_image_as_decoded_are_listed(voc):
    """The annotation says 64 x 64, the file is smaller."""
    voc("small", "train", ("cat", 40, 40, 60, 60), ("cat", 2, 2, 20, 20))
    cv2.imwrite("voc/JPEGImages/small.jpg", np.full((32, 32, 3), 99, np.uint8))
    assert tiny.tool("train", "configs/tiny.yaml", "--work-dir", "new", *data()) == 0
    (record,) = tiny.records("new", "dropped_box")
    assert record["image_id"] == "small"
    tiny.assert_says(record["reason"], "outside", "32 x 32", "64 x 64")


@pytest.mark.parametrize("spoil", [truncate, garble])
@pytest.mark.parametrize("split", ["train", "val"])
def test_more_than_one_percent_bad_images_stop_before_the_first_step(refused, voc, spoil, split):
    for name in ("0", "1"):
        spoil(f"{split}{name}")
    if split == "val" and spoil is truncate:
        voc("val2", "val")
    message = refused("train", "configs/tiny.yaml", "--work-dir", "new", *data())
    tiny.assert_says(message, "1%", "found 2 of", f"{split}1: v")
    assert not Path("new").exists()


def test_testing_says_what_it_skipped(voc, capsys):
    assert tiny.tool("train", "configs/tiny.yaml", "--work-dir", "new", *data()) == 0
    garble("val1")
    assert tiny.tool("test", "configs/tiny.yaml", "new/checkpoints/best", *data()) == 0
    tiny.assert_says(capsys.readouterr().err, "val1: voc/JPEGImages/val1.jpg: ", "OpenCV")
    assert json.loads(Path("new/result.json").read_text())["AP50"] is not None


# --- images given in Python -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector(finished):
    return detkit.load(str(finished / "configs/tiny.yaml"), str(finished / "work/checkpoints/best"))


@pytest.fixture(scope="module")
def scene():
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)


def assert_same_detections(one, other):
    assert len(one.boxes)
    for field in ("boxes", "scores", "labels"):
        np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-4, atol=1e-4)


def test_arrays_and_files_of_every_kind_are_converted(detector, scene, tmp_path):
    """All go through as one batch, the turned one among them."""
    grey = np.repeat(scene[:, :, :1], 3, axis=2)
    rgba = np.concatenate([scene, scene[:, :, :1]], axis=2)
    cv2.imwrite(str(tmp_path / "scene.png"), scene[:, :, ::-1])
    images = [scene, rgba, scene.astype(np.uint16) * 257, tmp_path / "scene.png", grey]
    actual = detector.detect([*images, scene[:, :, 0]])
    for other in actual[1:4]:
        assert_same_detections(actual[0], other)
    assert_same_detections(actual[4], actual[5])
    for one in actual:
        assert one.class_names[0] == "circle"
        assert (one.boxes[:, 2:] <= (70, 50)).all()
        assert (np.diff(one.scores) <= 0).all()


def test_a_turned_photograph_is_set_upright(detector, scene, tmp_path):
    cv2.imwrite(str(tmp_path / "plain.jpg"), scene)
    jpeg = (tmp_path / "plain.jpg").read_bytes()
    # An EXIF block of one entry: orientation (0x0112) 6, a quarter turn clockwise.
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "turned.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
    upright = np.rot90(cv2.imread(str(tmp_path / "plain.jpg"))[:, :, ::-1], -1)
    actual, expected = detector.detect([tmp_path / "turned.jpg", np.ascontiguousarray(upright)])
    assert_same_detections(actual, expected)


def test_what_is_no_image_is_refused(detector, scene, tmp_path):
    for image, pattern in (
        (scene.astype(np.float32), r"images\[1\]: .*uint8.*found float32"),
        (scene[None], r"images\[1\]: .*shape \(H, W\).*\(1, 50, 70, 3\)"),
        ([1, 2], r"images\[1\]: .*array, found list"),
        (tmp_path / "absent.png", "absent.png: no such file"),
    ):
        with pytest.raises(ImageError, match=pattern):
            detector.detect([scene, image])


def test_one_image_gives_its_detections_and_several_a_list(detector, scene, tmp_path):
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), scene[:, :, ::-1])
    (expected,) = detector.detect([scene])
    for one in (scene, path, str(path)):
        assert_same_detections(detector.detect(one), expected)
    for several in ((scene, path), iter([scene, path]), np.stack([scene, scene])):
        actual = detector.detect(several)
        assert isinstance(actual, list)
        assert len(actual) == 2
        assert_same_detections(actual[1], expected)
    assert detector.detect([]) == []
    with pytest.raises(ImageError, match=r"images\[0\]: expected shape .*, found \(70,\)"):
        detector.detect(scene[0, :, 0])
