"""Annotations and proposals that a few bytes make huge, or that name other files."""

import io
import json
import os
import struct
import zipfile

import cv2
import numpy as np
import pytest

from detkit.build import build_dataset, open_config
from detkit.data import COCO, VOC, Shapes
from detkit.data.one_class import OneClass
from detkit.detections.proposal_files import read_proposals
from detkit.detections.results import load_results
from detkit.errors import ConfigError, DataError, ImageError
from support import tiny
from support.hostile_images import png

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
        with pytest.raises(DataError, match="1 are missing"):
            COCO(*coco(tmp_path, file_name=name))
    with pytest.raises(DataError, match="1 are missing"):
        voc(tmp_path, "x" * 5000)


def test_half_a_character_is_refused_where_it_is_written(tmp_path):
    with pytest.raises(DataError, match=r"categories\[0\].name: .*'c\\ud800'.*character 1"):
        COCO(*coco(tmp_path, category="c\ud800"))
    with pytest.raises(DataError, match=r"images\[0\].file_name: .*\\udfff"):
        COCO(*coco(tmp_path, file_name="\udfff.png"))
    with pytest.raises(DataError, match=r"images\[0\].id: .*\\ud83d"):
        COCO(*coco(tmp_path, id="\ud83d"))


# --- Proposals ----------------------------------------------------------------------------------


def npy(dtype, shape, data):
    """The bytes of an .npy whose header may lie about the data."""
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def archive(path, compression=zipfile.ZIP_STORED, **members):
    good = {
        "image_ids": npy("<U15", (1,), "shapes-0-000000".encode("utf-32-le")),
        "counts": npy("<i8", (1,), struct.pack("<q", 1)),
        "boxes": npy("<f4", (1, 4), struct.pack("<4f", 0, 0, 9, 9)),
        "scores": npy("<f4", (1,), struct.pack("<f", 0.5)),
    }
    with zipfile.ZipFile(path, "w", compression) as writer:
        for name, data in {**good, **members}.items():
            writer.writestr(f"{name}.npy", data)
    return path


def test_an_archive_is_read_as_far_as_its_size_allows(tmp_path):
    dataset = OneClass(Shapes(length=1))
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        (found,) = read_proposals(archive(tmp_path / "a.npz", kind), dataset).values()
        assert found[0].tolist() == [[0, 0, 9, 9]]


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    rows = 2_000_000
    boxes = npy("<f4", (rows, 4), bytes(16 * rows))
    path = archive(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, boxes=boxes)
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError) as caught:
        read_proposals(path, OneClass(Shapes(length=1)))
    assert str(path) in str(caught.value)
    assert "zip bomb" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [
        ("boxes", "<f4", (2**38, 4)),
        ("counts", "<i8", (2**60, 0)),
        ("image_ids", "<U0", (2**50,)),
        ("image_ids", "<U999999999", (2**30,)),
        ("scores", "|O", (1,)),
    ],
)
def test_a_header_that_lies_allocates_nothing(tmp_path, name, dtype, shape):
    path = archive(tmp_path / "a.npz", **{name: npy(dtype, shape, b"")})
    with pytest.raises(DataError) as caught:
        read_proposals(path, OneClass(Shapes(length=1)))
    assert f"{path}: {name}: " in str(caught.value)
