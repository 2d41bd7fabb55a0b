"""tools/deploy: the C++ program finds what Python finds, and says what is wrong."""

import json
import os
import re

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_masks

import detkit
from detkit import processor
from detkit.threshold import Threshold
from support import image_files, tiny
from support.deploy import (
    CLASSES,
    LIMITS,
    MXNET,
    NEEDED,
    SHAPES,
    SOURCES,
    built,
    has_jpeg_png,
    run,
)

pytestmark = NEEDED


def assert_same(printed, expected):
    """What the program says of an image is what Python's Detections say."""
    found = printed["detections"]
    assert len(found) == len(expected.boxes) > 0
    np.testing.assert_allclose([one["box"] for one in found], expected.boxes, rtol=0, atol=1e-3)
    np.testing.assert_allclose([one["score"] for one in found], expected.scores, rtol=0, atol=1e-5)
    assert [one["label"] for one in found] == expected.labels.tolist()
    assert [one["name"] for one in found] == [CLASSES[label] for label in expected.labels]
    assert [one.get("mask") is not None for one in found] == [expected.has_masks] * len(found)
    for index, one in enumerate(found if expected.has_masks else []):
        rle = {**one["mask"], "counts": one["mask"]["counts"].encode()}
        differ = coco_masks.decode(rle) != coco_masks.decode(expected.rle(index))
        assert differ.sum() <= 2  # a probability of 0.5, to the last digit

    assert ["keypoints" in one for one in found] == [expected.keypoints is not None] * len(found)
    if expected.keypoints is not None:
        keypoints = [one["keypoints"] for one in found]
        np.testing.assert_allclose(keypoints, expected.keypoints, rtol=0, atol=1e-3)


@pytest.mark.parametrize("detector", ["FasterRCNN", "MaskRCNN", "MaskRCNNC4"], indirect=True)
@pytest.mark.parametrize("batch", [1, 2])
def test_detects_as_python(detector, folder, images, detect, batch):
    arrays, paths = images
    printed = detect(folder, *paths, "--score", 0, "--batch", batch)
    assert [one["path"] for one in printed] == list(map(str, paths))
    assert [(one["height"], one["width"]) for one in printed] == SHAPES
    expected = [detector.detect(arrays[i : i + batch]) for i in range(0, len(arrays), batch)]
    for one, other in zip(printed, sum(expected, [])):
        assert_same(one, other)


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
@pytest.mark.parametrize(("key", "value"), [("int8_for", "vnni"), ("int8_for", None), ("old", 1)])
def test_int8_for_vnni_says_so_where_there_is_none(build, folder, images, key, value):
    """Once, and with the detections all the same; a folder of before there was a choice is that."""
    manifest = json.loads((folder / "model.json").read_text())
    manifest.update({"precision": "int8", key: value})
    if key == "old":
        del manifest["int8_for"]
    (folder / "model.json").write_text(json.dumps(manifest))
    done = run(build / "detect", folder, *images[1], "--threads", 2)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, len(images[1]))
    needs_it, has_it = value is not None, bool({"avx512_vnni", "avx_vnni"} & processor.flags())
    warned = needs_it and not has_it and processor.is_x86()
    assert done.stderr.decode().count("--int8-for any") == warned


def test_four_threads(folder, images, detect):
    """Each with a detector of its own; what they print stays in order."""
    paths = images[1] * 5
    alone = detect(folder, *paths, "--score", 0)
    together = detect(folder, *paths, "--score", 0, "--threads", 4)
    assert together == alone


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
@pytest.mark.parametrize("kind", ["one", "each", "none", "old"])
def test_the_default_score_is_the_threshold(detector, folder, images, detect, kind):
    """It was chosen for all classes or for each, or a folder has none: then it is 0.5."""
    arrays, paths = images
    everything = detector.detect(arrays[3])
    middle = float(np.median(everything.scores)) + 1e-4  # the two calculate to about 1e-6
    scores = {"one": [middle], "each": [middle, 1.0, 0.0]}.get(kind, [0.5])
    used = Threshold(tuple(scores), "f1", "val")
    content = json.loads((folder / "model.json").read_text())
    assert content.pop("threshold") is None
    if kind != "old":
        content["threshold"] = None if kind == "none" else used.to_json()
    (folder / "model.json").write_text(json.dumps(content))
    expected = everything[used.keeps(everything)]
    (printed,) = detect(folder, paths[3])
    assert len(expected) < len(everything)
    if kind in ("one", "each"):
        assert_same(printed, expected)
        assert_same(printed, detkit.load_exported(folder).detect(arrays[3]))
        assert_same(detect(folder, paths[3], "--score", 0)[0], everything)
    else:
        assert len(printed["detections"]) == len(expected)
        assert len(detkit.load_exported(folder).detect(arrays[3])) == len(everything)


def test_a_folder_of_its_own(build, folder, images, detect, tmp_path):
    """The installed program uses the libraries beside it, and needs no other folder."""
    built("cmake", "--install", build, "--prefix", tmp_path / "ship")
    program, words = tmp_path / "ship" / "detect", [folder, images[1][0], "--score", 0]
    log = run(program, *words, cwd=tmp_path, env={"LD_DEBUG": "libs"}).stderr.decode()
    loaded = re.findall("calling init: (.*)", log)
    assert str(tmp_path / "ship" / "libmxnet.so") in loaded
    assert not any(path.startswith(str(MXNET)) for path in loaded)
    if has_jpeg_png():
        names = [os.path.basename(path) for path in loaded if path.startswith(f"{tmp_path}/ship/")]
        assert any("jpeg" in name for name in names) and any("png" in name for name in names)
    limits = {name: os.environ[name] for name in LIMITS if name in os.environ}
    assert detect(*words, program=program, cwd=tmp_path, env=limits) == detect(*words)


def test_score_repeat_and_draw(folder, images, detect, tmp_path):
    arrays, paths = images
    everything = detect(folder, paths[0], "--score", 0, "--repeat", 3)[0]
    assert everything.pop("median_ms") > 0
    scores = sorted(one["score"] for one in everything["detections"])
    some = detect(folder, paths[0], "--score", scores[4], "--draw", tmp_path / "out", "--json")[0]
    assert len(some["detections"]) == len(scores) - 4
    suffix = "png" if has_jpeg_png() else "ppm"
    drawn = cv2.imread(str(tmp_path / "out" / f"0.{suffix}"))
    assert drawn.shape == arrays[0].shape and (drawn[..., ::-1] != arrays[0]).any()
    assert detect(folder, *paths[1:], "--draw", tmp_path / "out") == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{number}.{suffix}" for number in range(4)
    ]


@pytest.mark.skipif(not has_jpeg_png(), reason="needs libjpeg and libpng with their headers")
@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_detects_in_jpegs_and_pngs(detector, folder, detect, tmp_path):
    """MXNet has a libjpeg and a libpng of its own, which the program's must not get mixed with."""
    block = image_files.exif(6)
    files = {
        "a.jpg": image_files.jpeg(image_files.picture(size=(64, 80)), exif=b"Exif\0\0" + block),
        "b.png": image_files.png(before=image_files.chunk(b"eXIf", block)),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in files]
    printed = detect(folder, *paths, "--score", 0, "--draw", tmp_path / "out", "--json")
    assert [(one["height"], one["width"]) for one in printed] == [(80, 64), (53, 37)]
    for path, one in zip(paths, printed):
        assert_same(one, detector.detect(str(path)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-DDETKIT_IMAGES=gif",), "expected auto, opencv, jpeg-png or ppm, found 'gif'"),
        (("-DDETKIT_IMAGES=opencv",), "DETKIT_IMAGES: expected OpenCV, found none"),
        (
            ("-DDETKIT_IMAGES=jpeg-png", "-DCMAKE_DISABLE_FIND_PACKAGE_JPEG=ON"),
            "DETKIT_IMAGES: expected libjpeg and libpng, found ''",
        ),
    ],
)
def test_image_libraries_that_are_not_there(tmp_path, options, message):
    words = ["cmake", "-S", SOURCES, "-B", tmp_path, f"-DMXNET_DIR={MXNET}", *options]
    done = run(*words, "-DCMAKE_DISABLE_FIND_PACKAGE_OpenCV=ON")
    assert done.returncode == 1
    assert message in " ".join(done.stderr.decode().split())


def test_without_libraries_ppm_is_chosen(tmp_path):
    disabled = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("OpenCV", "PNG")]
    words = ["-S", SOURCES, "-B", tmp_path, f"-DMXNET_DIR={MXNET}"]
    assert b"-- images: ppm\n" in built("cmake", *words, *disabled).stdout


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_bad_images(folder, images, refused, tmp_path):
    first = images[1][0]
    whole = first.read_bytes()
    contents = {
        "text": (b"no image", "PPM"),
        "nothing": (b"", "empty"),
        "truncated": (whole[:-1], "expected 15360 bytes of pixels, found 15359"),
        "longer": (whole + b"x", "expected 15360 bytes of pixels, found 15361"),
        "header": (b"P6\n80 64", "largest value"),
        "wide": (b"P6 99999999999999999999 2 255\n", "width: expected a number"),
        "deep": (b"P6 1 1 65535\n12", "the largest value 255"),
        "none": (b"P6 0 1 255\n", "width: expected a number"),
    }
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        found = refused(folder, tmp_path / name)
        assert f"{tmp_path / name}: " in found and message in found
    assert "gone.ppm: No such file" in refused(folder, tmp_path / "gone.ppm")
    assert f"{tmp_path}: " in refused(folder, tmp_path)


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_bad_folders(folder, images, refused):
    def change(**changes):
        manifest.write_text(json.dumps({**content, **changes}), encoding="utf-8")

    def refusal():
        message = refused(folder, images[1][0])
        assert message.startswith(f"detect: {folder}")
        return message

    manifest = folder / "model.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    for name in content["files"]:
        path, whole = folder / name, (folder / name).read_bytes()
        path.write_bytes(whole[:-1])
        tiny.assert_says(refusal(), f"{path}: ", "SHA-256", f"{len(whole) - 1} bytes")
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        tiny.assert_says(refusal(), f"{path}: ", "SHA-256", f"{len(whole)} bytes")
        path.unlink()
        assert f"{path}: expected a readable file" in refusal()
        path.write_bytes(whole)
    for changes, message in [
        ({"format": 2}, "format: expected 1"),
        ({"classes": "cells"}, "classes: expected an array, found a string"),
        ({"classes": CLASSES[:1]}, "classes: expected a name for the label"),
        ({"pad_multiple": 0.5}, "pad_multiple: expected a whole number from 1"),
        ({"resize": {"short": 1, "long": 2, "like": "x"}}, "resize: like: expected null, "),
        ({"resize": {"short": 1, "long": 2, "like": "x"}}, "found 'x'"),
        ({"inputs": ["images"]}, "inputs: expected images and sizes, "),
        ({"inputs": ["images"]}, "found 1: 'images'"),
        ({"inputs": ["pictures", "sizes"]}, "found 2: 'pictures', 'sizes'"),
        ({"library": "../x.so"}, "library: expected the name of a file in the folder, found '../x"),
        ({"files": {}}, "files: expected "),
        ({"outputs": content["outputs"][:2]}, "outputs: expected boxes"),
    ]:
        change(**changes)
        assert message in refusal()
    del content["classes"]
    change()
    assert "classes: expected a value, found none" in refusal()
    manifest.write_text('{"format": 1,\n}', encoding="utf-8")
    assert "model.json: line 2: expected a key, found '}'" in refusal()
    manifest.unlink()
    assert "model.json: expected a readable file" in refusal()


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_a_header_with_comments(folder, images, detect, tmp_path):
    plain = images[1][0].read_bytes()
    (tmp_path / "comment").write_bytes(plain.replace(b"P6\n", b"P6 # a comment 9\n#\n"))
    one, other = detect(folder, images[1][0], tmp_path / "comment", "--score", 0)
    assert one["detections"] == other["detections"] != []


def test_bad_words(refused, build, tmp_path):
    assert "expected the folder of a detector and images" in refused()
    tiny.assert_says(refused("a", "b", "--colour"), "found '--colour'", "--help")
    assert "--score: expected a number from 0 to 1, found '2'" in refused("a", "b", "--score", 2)
    assert "--batch: expected a number from 1 " in refused("a", "b", "--batch", 0)
    assert "--repeat: expected a value" in refused("a", "b", "--repeat")
    message = refused("m", "b/x.ppm", "a/x.ppm", "--draw", tmp_path)
    tiny.assert_says(message, "a/x.ppm: ", "b/x.ppm", "drawn into x.p")
    assert b"--threads N" in run(build / "detect", "--help").stdout


# --- Nothing ends in a signal ---------------------------------------------------------------------
