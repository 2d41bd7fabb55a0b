"""The C++ program prints the lines that ``detkit predict --save json`` writes."""

import json
import os
import re

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_masks

from support import tiny
from support.deploy import NEEDED, SHAPES, run

pytestmark = NEEDED

NUMBER = re.compile(r"(?<=[ \[])-?[0-9][0-9.e+-]*")
COUNTS = re.compile(r'("counts": )"[^ ]*"')
ODD = ("a b.ppm", 'größe "x".ppm', "back\\slash.ppm", "tab\there.ppm")


def lines_of(program, folder, paths, out, *options):
    """(the lines of the program, those of Python), each a str, on the same pixels.

    The program that is tested may read PPM alone, which Python does not read.
    """
    done = run(program, folder, *paths, *options)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    for path in paths:
        pixels = np.frombuffer(path.read_bytes().split(b"\n255\n", 1)[1], np.uint8)
        width, height = map(int, path.read_bytes().split(b"\n", 2)[1].split())
        _, data = cv2.imencode(".png", pixels.reshape(height, width, 3)[..., ::-1])
        path.write_bytes(data.tobytes())
    words = [folder, *paths, "--out", out, "--save", "json", *options]
    assert tiny.tool("demo", *words) == 0
    written = (out / "detections.jsonl").read_text(encoding="utf-8")
    return done.stdout.decode().splitlines(), written.splitlines()


def shape_of(line):
    """A line with all its numbers and run lengths replaced: its keys, texts and spaces."""
    return NUMBER.sub("#", COUNTS.sub(r'\1""', line))


def assert_same_values(one, other):
    """What lists of detections have in common but the last digits of their numbers."""
    assert len(one) == len(other)
    for a, b in zip(one, other):
        assert list(a) == list(b)
        assert (a["label"], a["name"]) == (b["label"], b["name"])
        np.testing.assert_allclose(a["box"], b["box"], rtol=0, atol=1e-3)
        np.testing.assert_allclose(a["score"], b["score"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(a.get("keypoints", 0), b.get("keypoints", 0), rtol=0, atol=1e-3)
        if "mask" in a:
            assert a["mask"]["size"] == b["mask"]["size"]
            masks = [
                coco_masks.decode({**each["mask"], "counts": each["mask"]["counts"].encode()})
                for each in (a, b)
            ]
            assert (masks[0] != masks[1]).sum() <= 2  # a probability of 0.5, to the last digit


@pytest.mark.parametrize("detector", ["FasterRCNN", "MaskRCNN", "KeypointRCNN"], indirect=True)
def test_the_lines_of_both_are_the_same(build, folder, images, tmp_path):
    paths = images[1]
    lines = lines_of(build / "detect", folder, paths, tmp_path / "out", "--score", 0)
    assert [len(each) for each in lines] == [len(paths)] * 2
    for theirs, ours, shape in zip(*lines, SHAPES):
        assert shape_of(theirs) == shape_of(ours)
        one, other = json.loads(theirs), json.loads(ours)
        assert list(one) == list(other) == ["path", "height", "width", "detections"]
        assert one["path"] == other["path"]
        assert (one["height"], one["width"]) == (other["height"], other["width"]) == shape
        assert len(other["detections"]) > 0
        assert_same_values(one["detections"], other["detections"])


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_by_default_both_drop_the_same_and_write_names_alike(build, folder, images, tmp_path):
    odd = [tmp_path / name for name in ODD]
    odd.append(tmp_path / os.fsdecode(b"no\xffutf\xfe8.ppm"))
    for path in odd:
        path.write_bytes(images[1][0].read_bytes())
    theirs, ours = lines_of(build / "detect", folder, odd, tmp_path / "out")
    assert list(map(shape_of, theirs)) == list(map(shape_of, ours))
    names = [os.path.basename(json.loads(line)["path"]) for line in ours]
    assert names == [*ODD, "no\ufffdutf\ufffd8.ppm"]
