"""Images that a few bytes of header make huge."""

import zlib

import cv2
import numpy as np
import pytest

from detkit.data.images import decode_image
from detkit.errors import ImageError
from support.hostile_images import HIGH, LARGE, WIDE, jpeg, png
from support.limited import messages


@pytest.mark.parametrize("kind", LARGE)
def test_an_image_is_refused_by_its_header(tmp_path, kind):
    make, width, height = LARGE[kind]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(make(width, height))
    assert path.stat().st_size < 200_000
    with pytest.raises(ImageError) as caught:
        decode_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert f"{width} x {height}" in str(caught.value)
    assert "data.max_pixels" in str(caught.value)


def test_a_bomb_needs_neither_time_nor_memory(tmp_path):
    path, cut = tmp_path / "a.png", tmp_path / "cut.png"
    path.write_bytes(png(32_000, 32_000))
    cut.write_bytes(png(32_000, 32_000, zlib.compress(bytes(9))))
    answers = messages("detkit.data.images.decode_image", path, cut)
    assert ["32000 x 32000" in answer for answer in answers] == [True, True]


def test_the_limit_is_the_callers(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((40, 60), np.uint8))
    assert decode_image(path, max_pixels=2400).shape == (40, 60, 3)
    with pytest.raises(ImageError, match="at most 2399 pixels, found 60 x 40"):
        decode_image(path, max_pixels=2399)


def test_a_size_behind_a_marker_without_a_segment_is_found(tmp_path):
    whole = jpeg(WIDE, HIGH)
    hidden = whole[:2] + b"\xff\x01" + whole[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(hidden)
    with pytest.raises(ImageError, match=f"{WIDE} x {HIGH}"):
        decode_image(path)


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path):
    data = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    whole = data[1].tobytes()
    start = whole.rindex(b"\xff\xda")
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:-2] + whole[start:-2] * 2000 + whole[-2:])
    with pytest.raises(ImageError, match="at most 100 scans, found 20"):
        decode_image(path)
