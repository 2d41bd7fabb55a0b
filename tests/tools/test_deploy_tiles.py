"""tools/deploy with --tiles: the C++ program finds in tiles what Python finds in them."""

import numpy as np
import pytest

import detkit
from detkit.export.check import TOLERANCE, compare, run_program
from support import tiny
from support.deploy import CLASSES, NEEDED, run

pytestmark = NEEDED
OPTIONS = [
    (("--tiles", 64), {"size": 64}),
    (("--tiles", 64, "--overlap", 0.5, "--batch", 3), {"size": 64, "overlap": 0.5}),
    (("--tiles", 90, "--no-whole", "--batch", 4), {"size": 90, "whole": False}),
    (("--tiles", 400), {"size": 400}),
]


@pytest.mark.parametrize(("words", "arguments"), OPTIONS)
def test_it_finds_what_python_finds(build, detector, folder, images, words, arguments):
    """With the detector itself, and with its export in Python."""
    arrays, _ = images
    tiling = detkit.Tiling(**arguments)
    found = run_program(build / "detect", folder, arrays, CLASSES, list(map(str, words)))
    for seer in (detector, detkit.load(str(folder))):
        expected = seer.detect(arrays, tiles=tiling, score=0)
        assert all(len(each) for each in expected)
        difference = compare(expected, found)
        assert not difference.exceeds(TOLERANCE), difference


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_threads_and_a_tile_for_all(folder, images, detect):
    paths = images[1] * 2
    printed = detect(folder, *paths, "--score", 0, "--tiles", 64, "--batch", 2)
    assert [one["path"] for one in printed] == list(map(str, paths))
    together = detect(folder, *paths, "--score", 0, "--tiles", 64, "--batch", 2, "--threads", 3)
    assert together == printed
    plain = detect(folder, *paths, "--score", 0)
    assert detect(folder, *paths, "--score", 0, "--tiles", 300) == plain != printed


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_the_tiles_of_a_large_image(build, detector, folder):
    """Many tiles, and a thousand objects at their seams and elsewhere."""
    image = np.random.default_rng(5).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    words = ["--tiles", "100", "--overlap", "0.3", "--batch", "8"]
    found = run_program(build / "detect", folder, [image], CLASSES, words)
    expected = detector.detect(image, tiles=detkit.Tiling(100, 0.3, batch=8), score=0)
    assert len(expected) > 500
    difference = compare([expected], found)
    assert not difference.exceeds(TOLERANCE), difference


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (("--tiles", 0), ("--tiles", "from 1", "'0'")),
        (("--tiles", 64.5), ("--tiles", "whole number", "64.5")),
        (("--tiles", 64, "--overlap", 0.95), ("--overlap", "0.9", "'0.95'")),
        (("--overlap", 0.5), ("--overlap", "--tiles N")),
        (("--no-whole",), ("--no-whole", "--tiles N")),
    ],
)
def test_what_cannot_be_is_said(folder, images, refused, words, fragments):
    tiny.assert_says(refused(folder, images[1][0], *words), *fragments)


def test_help_has_the_options(build):
    assert b"--tiles N" in run(build / "detect", "--help").stdout
