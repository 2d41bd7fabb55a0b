"""tools/deploy reads JPEG and PNG without OpenCV, with the pixels that OpenCV reads."""

import struct

import cv2
import numpy as np
import pytest

from support import tiny
from support.deploy import NEEDED, run

pytestmark = NEEDED
SMOOTH = np.stack(np.meshgrid(np.arange(40) * 6, np.arange(24) * 10, [90]), -1)[:, :, 0]
PICTURE = SMOOTH.astype(np.uint8)


def encoded(suffix, *options):
    return cv2.imencode(suffix, PICTURE, options)[1].tobytes()


def with_orientation(jpeg, orientation, order):
    """A JPEG with an EXIF segment of one entry, in the byte order "<" or ">"."""
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    entry = struct.pack(order + "HHIHH", 0x112, 3, 1, orientation, 0)
    exif = b"Exif\0\0" + head + struct.pack(order + "H", 1) + entry + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@pytest.fixture
def read(build, folder, tmp_path):
    """The pixels that the program reads: it draws nothing above the largest score."""
    if "STB_INCLUDE_DIR:PATH=/" not in (build / "CMakeCache.txt").read_text():
        pytest.skip("needs stb_image.h (libstb-dev)")

    def read(content):
        (tmp_path / "picture").write_bytes(content)
        words = (tmp_path / "picture", "--draw", tmp_path, "--score", 1)
        done = run(build / "detect", folder, *words)
        if done.returncode:
            return done.stderr.decode()
        return cv2.imread(str(tmp_path / "picture.ppm"))

    return read


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_reads_what_opencv_reads(read):
    grey = cv2.imencode(".png", PICTURE[..., 0])[1].tobytes()
    for content, step in [
        (encoded(".png"), 0),
        (grey, 0),
        (encoded(".jpg"), 3),
        (encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1), 3),
    ]:
        expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(read(content).astype(int) - expected).max() <= step


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_turns_a_jpeg_upright(read):
    for orientation in range(10):  # 0 and 9 are none
        jpeg = with_orientation(encoded(".jpg"), orientation, "<>"[orientation % 2])
        expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        found = read(jpeg)
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_refuses_damaged_pictures(read):
    png, jpeg = encoded(".png"), encoded(".jpg")
    tiny.assert_says(read(png[:-20]), "picture: expected a whole image")
    tiny.assert_says(read(jpeg[:-20]), "picture: expected a whole image")
    tiny.assert_says(read(b"BM" + bytes(60)), "picture: expected a PPM, JPEG or PNG")
    huge = png[:16] + struct.pack(">II", 60000, 60000) + png[24:]
    tiny.assert_says(read(huge), "picture: expected at most", "found 60000 x 60000")
    damaged = png[:50] + bytes([png[50] ^ 255]) + png[51:]
    assert "picture: expected a whole JPEG or PNG" in str(read(damaged))
