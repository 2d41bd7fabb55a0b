"""Images and annotations that a few bytes make huge, or that name other files."""

import json
import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from detkit.build import build_dataset, open_config
from detkit.data import COCO, VOC, Shapes
from detkit.data.images import decode_image
from detkit.detections.results import load_results
from detkit.errors import ConfigError, DataError, ImageError
from support import tiny
from support.limited import messages

WIDE, HIGH = 30_000, 20_000


# --- Images -------------------------------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data=b""):
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = data or zlib.compress(bytes(height * (1 + -(-width // 8))), 9)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(width, height):
    small = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    return small.replace(struct.pack(">HH", 8, 8), struct.pack(">HH", height, width), 1)


def bmp(width, height):
    small = bytearray(cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    small[18:26] = struct.pack("<ii", width, -height)
    return bytes(small)


def tiff(width, height):
    small = cv2.imencode(".tiff", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    (start,) = struct.unpack_from("<I", small, 4)
    data = bytearray(small)
    for tag, value in ((256, width), (257, height)):
        at = data.index(struct.pack("<H", tag), start)
        data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(data)


def webp(lossless):
    def make(width, height):
        quality = 101 if lossless else 50
        small = bytearray(
            cv2.imencode(
                ".webp", np.zeros((8, 8, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, quality]
            )[1].tobytes()
        )
        if lossless:
            small[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14)
        else:
            small[26:30] = struct.pack("<HH", width, height)
        return bytes(small)

    return make


LARGE = {
    "png": (png, WIDE, HIGH),
    "jpg": (jpeg, WIDE, HIGH),
    "bmp": (bmp, WIDE, HIGH),
    "tiff": (tiff, WIDE, HIGH),
    "lossy.webp": (webp(lossless=False), 16383, 16383),
    "lossless.webp": (webp(lossless=True), 16384, 16384),
}


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


# --- data.max_pixels ----------------------------------------------------------------------------


def coco(folder, **changes):
    """The paths of a file and a folder of one image of 60 x 40 pixels; ``changes`` of its entry."""
    (folder / "images").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "images/1.png"), np.zeros((40, 60, 3), np.uint8))
    square = [[4, 4, 20, 4, 20, 20, 4, 20]]
    content = {
        "images": [{"id": 1, "file_name": "1.png", "width": 60, "height": 40, **changes}],
        "categories": [{"id": 1, "name": changes.get("category", "cat")}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [4, 4, 16, 16], "segmentation": square}
        ]
        * changes.get("objects", 1),
    }
    (folder / "a.json").write_text(json.dumps(content))
    return str(folder / "a.json"), str(folder / "images")


def test_the_config_sets_the_limit_of_its_datasets(tmp_path):
    config = tiny.project(tmp_path)
    file, images = coco(tmp_path)
    section = f"data.val={{type: COCO, annotations: {file}, images: {images}}}"
    opened = open_config(config, [section, "data.max_pixels=2400"])
    assert build_dataset(opened, "val").image(0).shape == (40, 60, 3)
    with pytest.raises(DataError, match="at most 2399 pixels, found 60 x 40; .*data.max_pixels"):
        build_dataset(open_config(config, [section, "data.max_pixels=2399"]), "val")
    for wrong, says in (("0", "at least 1, found 0"), ("many", "expected int, found 'many'")):
        with pytest.raises(ConfigError, match=f"data.max_pixels: .*{says}"):
            build_dataset(open_config(config, [section, f"data.max_pixels={wrong}"]), "val")


def test_an_annotation_cannot_ask_for_a_gigantic_mask(tmp_path):
    with pytest.raises(DataError, match=r"images\[0\]: .*found 1000000 x 1000000"):
        COCO(*coco(tmp_path, width=10**6, height=10**6))
    many = COCO(*coco(tmp_path, width=5000, height=5000, objects=100))
    with pytest.raises(DataError, match=r"image 1: .*found 100 of 5000 x 5000"):
        many.masks(0)
    assert COCO(*coco(tmp_path, objects=100)).masks(0).shape == (100, 40, 60)


def test_a_file_of_far_more_pixels_than_annotated_is_not_decoded(tmp_path):
    dataset = COCO(*coco(tmp_path))
    (tmp_path / "images/1.png").write_bytes(png(6000, 4000))
    with pytest.raises(ImageError, match="60 x 40 .*found 6000 x 4000"):
        dataset.image(0)
    (tmp_path / "images/1.png").write_bytes(png(40, 60))  # turned by a viewer
    assert dataset.image(0).shape == (60, 40, 3)


def test_a_mask_of_results_has_a_limit(tmp_path):
    side = 2**19
    entry = {"image_id": "shapes-0-000000", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    mask = {"size": [side, side], "counts": [side * side]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{**entry, "segmentation": mask}]))
    with pytest.raises(DataError, match=rf"entry 0: segmentation: .*\[{side}, {side}\]"):
        load_results(path, Shapes(length=1))


# --- Names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "C:\\x"])
def test_a_file_name_stays_below_its_folder(tmp_path, name):
    cv2.imwrite(str(tmp_path / "secret.png"), np.zeros((40, 60, 3), np.uint8))
    with pytest.raises(DataError) as caught:
        COCO(*coco(tmp_path, file_name=name))
    assert "images[0].file_name: " in str(caught.value)
    assert repr(name) in str(caught.value)
    assert f"below {tmp_path / 'images'}" in str(caught.value)


def test_a_symbolic_link_below_the_folder_is_followed(tmp_path):
    file, images = coco(tmp_path, file_name="link/1.png")
    os.symlink(images, tmp_path / "images/link")
    assert COCO(file, images).image(0).shape == (40, 60, 3)


def voc(folder, line, name="a"):
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / "voc" / part).mkdir(parents=True, exist_ok=True)
    box = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    xml = f"<annotation><object><name>cat</name><bndbox>{box}</bndbox></object></annotation>"
    (folder / f"voc/Annotations/{name}.xml").write_text(xml)
    cv2.imwrite(str(folder / f"voc/JPEGImages/{name}.jpg"), np.zeros((40, 60, 3), np.uint8))
    (folder / "voc/ImageSets/Main/train.txt").write_text(line + "\n")
    return VOC(str(folder / "voc"), ["train"], class_names=["cat"])


@pytest.mark.parametrize("name", ["../secret", "/etc/hosts", "x/../../../secret"])
def test_a_name_of_a_split_stays_below_its_folder(tmp_path, name):
    (tmp_path / "secret.xml").write_text("<annotation/>")
    assert len(voc(tmp_path, "a")) == 1
    with pytest.raises(DataError) as caught:
        voc(tmp_path, name)
    assert "ImageSets/Main/train.txt" in str(caught.value)
    assert repr(name) in str(caught.value)


def test_names_that_no_file_can_have_are_missing_files(tmp_path):
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(DataError, match="found none of them"):
            COCO(*coco(tmp_path, file_name=name))
    with pytest.raises(DataError, match="xxx.xml: no such file"):
        voc(tmp_path, "x" * 5000)


def test_half_a_character_is_refused_where_it_is_written(tmp_path):
    with pytest.raises(DataError, match=r"categories\[0\].name: .*'c\\ud800'.*character 1"):
        COCO(*coco(tmp_path, category="c\ud800"))
    with pytest.raises(DataError, match=r"images\[0\].file_name: .*\\udfff"):
        COCO(*coco(tmp_path, file_name="\udfff.png"))
    with pytest.raises(DataError, match=r"images\[0\].id: .*\\ud83d"):
        COCO(*coco(tmp_path, id="\ud83d"))
