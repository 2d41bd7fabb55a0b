"""Proposals whose archive or headers state far more than the file holds."""

import io
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from detkit.data import Shapes
from detkit.data.one_class import OneClass
from detkit.detections.proposal_files import read_proposals
from detkit.errors import DataError
from fuzz.mat import BOXES, CELL, cells, element, mat_file, matrix, numbers, proposals_of, text


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


# --- MATLAB's files -------------------------------------------------------------------------------

DATASET = OneClass(Shapes(length=1))
ONE = {"shapes-0-000000": BOXES}
MOST_MEMORY = 64 << 20  # bytes, of files of less than a megabyte


def refused_cheaply(path, data, message):
    """Reading these bytes is refused within seconds and within MOST_MEMORY."""
    path.write_bytes(data)
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(DataError, match=rf"(?s){path.name}: .*{message}"):
        read_proposals(path, DATASET)
    seconds, (_, most) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MOST_MEMORY
    assert seconds < 20


def test_a_mat_is_read_as_far_as_its_size_allows(tmp_path):
    path = tmp_path / "a.mat"
    rng = np.random.default_rng(0)
    many = {"shapes-0-000000": rng.integers(1, 500, (50_000, 2))}
    many = {name: np.hstack([first, first + 9]) for name, first in many.items()}
    for stored in ("u2", "f8"):
        path.write_bytes(mat_file(*proposals_of(many, stored)))
        (found,) = read_proposals(path, DATASET).values()
        assert found[0].shape == (50_000, 4)


def test_a_mat_that_is_a_bomb_is_not_unpacked(tmp_path):
    rows = 4_000_000
    bomb = cells([numbers(np.ones((rows, 4)), stored="u1")] * 4, "boxes")
    data = mat_file(bomb, cells([text(str(i)) for i in range(4)], "images"))
    assert len(data) < 100_000
    refused_cheaply(tmp_path / "a.mat", data, "zip bomb")
    # The same in pieces, each of which would be small enough.
    piece = element(
        15, zlib.compress(cells([numbers(np.ones((200_000, 4)), stored="u1")], "boxes"))
    )
    refused_cheaply(tmp_path / "a.mat", mat_file(*[piece] * 40, compressed=False), "zip bomb")


def test_a_bomb_that_nobody_asked_for_is_skipped(tmp_path):
    other = numbers(np.ones((8_000_000, 1)), "other", stored="u1")
    (tmp_path / "a.mat").write_bytes(mat_file(other, *proposals_of(ONE)))
    tracemalloc.start()
    (found,) = read_proposals(tmp_path / "a.mat", DATASET).values()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found[0]) == len(BOXES)
    assert most < 1 << 20


def test_cells_that_are_nothing_cost_nothing(tmp_path):
    names = cells([text("shapes-0-000000")], "images")
    few, many, empty = 50_000, 2**31 - 1, struct.pack("<II", 14, 0)
    for count, content, message in (
        (few, empty * few, "as many cells in images as in boxes, found 1 and 50000"),
        (few, b"", "50000 cells, found 0"),
        (many, empty * few, "at most 1000000 cells, found 2147483647"),
    ):
        boxes = matrix(CELL, (1, count), content, "boxes")
        refused_cheaply(tmp_path / "a.mat", mat_file(boxes, names, compressed=False), message)


@pytest.mark.parametrize("size", [2**31 - 1, 2**32 - 1])
def test_a_length_that_lies_allocates_nothing(tmp_path, size):
    for where in (0, 8, 200):
        data = bytearray(mat_file(*proposals_of(ONE), compressed=False))
        struct.pack_into("<I", data, 128 + 4 + where // 8 * 8, size)
        refused_cheaply(tmp_path / "a.mat", bytes(data), "")


def test_every_changed_byte_is_an_error_or_other_proposals(tmp_path):
    whole = mat_file(*proposals_of(ONE), compressed=False)
    rng = np.random.default_rng(0)
    for place in range(124, len(whole)):
        changed = whole[place] ^ int(rng.integers(1, 256))
        (tmp_path / "a.mat").write_bytes(whole[:place] + bytes([changed]) + whole[place + 1 :])
        try:
            (found,) = read_proposals(tmp_path / "a.mat", DATASET).values()
        except DataError as error:
            assert "a.mat: " in str(error)
        else:
            assert np.isfinite(found[0]).all()
