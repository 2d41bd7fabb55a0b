"""Decoding: every kind of file comes out as (H, W, 3) uint8 RGB, and no broken file passes."""

import struct

import cv2
import numpy as np
import pytest

from detkit.data import to_rgb_uint8
from detkit.data.images import (
    REDUCTIONS,
    check_image_file,
    decode_image,
    decode_reduced,
    image_size,
)
from detkit.errors import ImageError
from fuzz.seeds import images
from support.image_files import exif


@pytest.fixture
def picture():
    """(24, 40, 3) uint8 RGB whose channels differ."""
    rows, columns = np.mgrid[:24, :40].astype(np.uint8)
    return np.stack([rows * 10, columns * 6, 255 - rows * 10], axis=2)


def write(path, rgb):
    assert cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]))
    return path


def with_exif(jpeg, payload):
    """Insert an APP1 segment behind the JPEG's first two bytes."""
    body = b"Exif\x00\x00" + payload
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_lossless_formats_come_back_exactly(tmp_path, picture, suffix):
    path = write(tmp_path / f"a.{suffix}", picture)
    check_image_file(path)
    np.testing.assert_array_equal(decode_image(path), picture)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats_keep_channel_order(tmp_path, picture, suffix):
    path = write(tmp_path / f"a.{suffix}", picture)
    check_image_file(path)
    error = decode_image(path).astype(int) - picture
    assert np.abs(error).mean() < 6


def test_grey_alpha_and_16_bit_become_rgb(tmp_path, picture):
    grey, alpha = picture[:, :, 0], np.full((24, 40, 1), 7, np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.concatenate([picture[:, :, ::-1], alpha], axis=2))
    cv2.imwrite(str(tmp_path / "deep.png"), picture[:, :, ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode_image(tmp_path / "grey.png"), np.dstack([grey] * 3))
    np.testing.assert_array_equal(decode_image(tmp_path / "alpha.png"), picture)
    np.testing.assert_array_equal(decode_image(tmp_path / "deep.png"), picture)


def test_exif_orientation_is_applied(tmp_path, picture):
    jpeg = write(tmp_path / "a.jpg", picture).read_bytes()
    upright = decode_image(tmp_path / "a.jpg")
    # A TIFF directory with one entry: tag 0x0112, type SHORT, one value, 6: turn right by 90.
    directory = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    (tmp_path / "turned.jpg").write_bytes(with_exif(jpeg, directory + b"\x00\x00\x00\x00"))
    np.testing.assert_array_equal(decode_image(tmp_path / "turned.jpg"), np.rot90(upright, -1))


def test_a_name_beyond_ascii_is_read(tmp_path, picture):
    plain = write(tmp_path / "a.png", picture)
    named = tmp_path / "Übung 图.png"
    named.write_bytes(plain.read_bytes())
    np.testing.assert_array_equal(decode_image(named), picture)


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path, suffix, part):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    path = write(tmp_path / f"a.{suffix}", noise)
    data = path.read_bytes()
    length = int(part * len(data))
    path.write_bytes(data[:length])
    for read in (check_image_file, decode_image):
        with pytest.raises(ImageError, match=rf"a\.{suffix}: .*truncated after {length} bytes"):
            read(path)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(tmp_path, picture):
    jpeg = write(tmp_path / "a.jpg", picture).read_bytes()
    whole = with_exif(jpeg, jpeg)
    path = tmp_path / "thumb.jpg"
    path.write_bytes(whole)
    check_image_file(path)
    path.write_bytes(whole[:-20])
    with pytest.raises(ImageError, match="end-of-image"):
        check_image_file(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_bytes_after_the_end_are_tolerated(tmp_path, picture, suffix):
    path = write(tmp_path / f"a.{suffix}", picture)
    expected = decode_image(path)
    path.write_bytes(path.read_bytes() + b"\x00\xff\xda trailing")
    check_image_file(path)
    np.testing.assert_array_equal(decode_image(path), expected)


def test_progressive_jpeg_with_many_scans_is_whole(tmp_path, picture):
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    path.write_bytes(path.read_bytes() + b"\n")
    check_image_file(path)
    assert decode_image(path).shape == picture.shape


@pytest.mark.parametrize("read", [check_image_file, decode_image])
def test_messages_name_the_file_and_what_was_found(tmp_path, read):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_bytes(b"<html>not found</html>")
    for name, message in (
        ("absent.jpg", r"absent\.jpg: no such file"),
        ("empty.jpg", r"empty\.jpg: .*0 bytes"),
        ("page.jpg", r"page\.jpg: .*JPEG.*22 bytes.*b'<html>"),
        (".", "image file.*folder"),
    ):
        with pytest.raises(ImageError, match=message):
            read(tmp_path / name)


def test_a_sound_header_before_nonsense_is_refused_by_decoding(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0\x00\x04ab\xff\xd9")
    with pytest.raises(ImageError, match=r"a\.jpg: .*JPEG.*OpenCV"):
        decode_image(path)


def test_arrays_become_rgb(picture):
    assert to_rgb_uint8(picture) is picture
    grey = picture[:, :, 1]
    for array in (grey, grey[:, :, None], grey.astype(np.uint16) * 256):
        np.testing.assert_array_equal(to_rgb_uint8(array), np.dstack([grey] * 3))
    rgba = np.dstack([picture, grey])
    np.testing.assert_array_equal(to_rgb_uint8(rgba), picture)


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((4, 4, 3), np.float32), r"shot: .*uint8.*uint16, found float32"),
        (np.zeros((3, 4, 5), np.uint8), r"shot: expected shape .*found \(3, 4, 5\)"),
        (np.zeros((0, 4, 3), np.uint8), r"found \(0, 4, 3\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"found \(1, 4, 4, 3\)"),
        ([[1, 2]], "shot: .*array, found list"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(ImageError, match=message):
        to_rgb_uint8(array, "shot")


def test_the_size_is_that_of_the_decoded_image(tmp_path):
    sizes = []
    for number, files in enumerate(images()):
        for name, data in files.items():
            path = tmp_path / f"{number}{name}"
            path.write_bytes(data)
            height, width = decode_image(path).shape[:2]
            assert image_size(path) == (width, height)
            sizes.append((width, height))
    assert (32, 40) in sizes  # one is turned


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
def test_the_size_follows_the_orientation(tmp_path, picture, orientation, byte_order):
    entry = struct.pack(byte_order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    head = {"<": b"II*\0", ">": b"MM\0*"}[byte_order] + struct.pack(byte_order + "IH", 8, 1)
    jpeg = write(tmp_path / "a.jpg", picture).read_bytes()
    path = tmp_path / "b.jpg"
    path.write_bytes(with_exif(jpeg, head + entry + bytes(4)))
    height, width = decode_image(path).shape[:2]
    assert image_size(path) == (width, height)
    assert (width, height) == ((24, 40) if 5 <= orientation <= 8 else (40, 24))


def test_a_size_above_the_limit_is_refused(tmp_path, picture):
    path = write(tmp_path / "a.png", picture)
    assert image_size(path, 960) == (40, 24)
    with pytest.raises(ImageError, match=r"a\.png: .*1 to 959 pixels, found 40 x 24.*max_pixels"):
        image_size(path, 959)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("factor", REDUCTIONS)
@pytest.mark.parametrize("size", [(96, 160), (97, 163)])
def test_a_jpeg_is_decoded_in_a_part_of_its_size(tmp_path, orientation, factor, size):
    rows, columns = np.mgrid[: size[0], : size[1]]
    smooth = np.stack([rows * 2 % 256, columns, 255 - columns], axis=2).astype(np.uint8)
    jpeg = write(tmp_path / "a.jpg", smooth).read_bytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(with_exif(jpeg, exif(orientation)))
    whole = decode_image(path)
    height, width = whole.shape[:2]
    small = decode_reduced(path, factor, (width, height))
    if size == (97, 163) and orientation > 1:
        assert small is None  # its first row or column may stand for fewer pixels
        return
    assert small.shape == (-(-height // factor), -(-width // factor), 3)
    inner = whole[: height // factor * factor, : width // factor * factor].astype(float)
    blocks = inner.reshape(height // factor, factor, width // factor, factor, 3).mean(axis=(1, 3))
    change = np.abs(small[: height // factor, : width // factor] - blocks)
    assert np.median(change) <= 2 and change.mean() < 5


def test_what_cannot_be_decoded_smaller(tmp_path, picture):
    png, jpeg = write(tmp_path / "a.png", picture), write(tmp_path / "a.jpg", picture)
    assert decode_reduced(png, 2, (40, 24)) is None
    assert decode_reduced(jpeg, 2, (24, 40)) is None  # another size than the annotation's
    assert decode_reduced(jpeg, 2, (40, 24)).shape == (12, 20, 3)
    with pytest.raises(ImageError, match=r"a\.jpg: .*at most 959 pixels"):
        decode_reduced(jpeg, 2, (40, 24), max_pixels=959)
    jpeg.write_bytes(jpeg.read_bytes()[:-2])
    with pytest.raises(ImageError, match="truncated"):
        decode_reduced(jpeg, 2, (40, 24))
    with pytest.raises(ImageError, match="no such file"):
        decode_reduced(tmp_path / "none.jpg", 2, (40, 24))
