"""Proposals whose archive or headers state far more than the file holds."""

import io
import struct
import zipfile

import numpy as np
import pytest

from detkit.data import Shapes
from detkit.data.one_class import OneClass
from detkit.detections.proposal_files import read_proposals
from detkit.errors import DataError


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
