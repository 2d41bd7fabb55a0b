"""MATLAB's files: what SciPy and MATLAB write is read, and everything else is refused."""

import io
import struct
import zlib

import numpy as np
import pytest

from detkit.errors import DataError
from detkit.files.mat import read_mat
from fuzz.mat import CELL, CHAR, DOUBLE, cells, element, mat_file, matrix, numbers, text

ARRAY = np.array([[1, 2, 3], [40, 50, 60]])
PACKED = zlib.compress(numbers(ARRAY, "a"))


@pytest.fixture
def read(tmp_path):
    """A function that reads the variables ``names`` of these bytes."""

    def read(data, *names):
        (tmp_path / "a.mat").write_bytes(data)
        return read_mat(tmp_path / "a.mat", names)

    return read


@pytest.mark.parametrize("compressed", [False, True])
def test_what_scipy_writes_is_read(read, compressed):
    scipy = pytest.importorskip("scipy.io")
    dtypes = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
    content = {f"a_{dtype}": (ARRAY * 2.5).astype(dtype) for dtype in dtypes}
    content.update(empty=np.zeros((0, 4)), one=np.array([[7.5]]), word="000005", none="")
    content["wide"] = "Bär"
    cell = np.empty((2, 2), object)
    cell[:] = [["x", ARRAY], [np.zeros((0, 0)), "a longer text"]]
    content["cell"] = cell
    file = io.BytesIO()
    scipy.savemat(file, {**content, "struct": {"a": 1}}, do_compression=compressed)
    found = read(file.getvalue(), *content)
    assert set(found) == set(content)
    for name in [name for name in content if isinstance(content[name], np.ndarray)]:
        if name != "cell":
            np.testing.assert_array_equal(found[name], content[name], name)
            assert found[name].shape == content[name].shape
    assert [found[name] for name in ("word", "none", "wide")] == ["000005", "", "Bär"]
    first, third, second, fourth = found["cell"]  # column by column
    assert (first, fourth) == ("x", "a longer text")
    np.testing.assert_array_equal(second, ARRAY)
    assert third.shape == (0, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stored", ["u1", "i1", "u2", "i2", "i4", "u4", "f4", "f8", "i8", "u8"])
def test_numbers_are_stored_in_small_types(read, order, stored):
    """MATLAB stores doubles that are whole numbers in the smallest type that holds them."""
    content = cells([numbers(ARRAY, "", stored, order), text("é", "", order)], "c", order)
    other = numbers([[9]], "other", stored, order)
    for compressed in (False, True):
        data = mat_file(other, content, order=order, compressed=compressed)
        found = read(data, "c", "other")
        array, word = found["c"]
        np.testing.assert_array_equal(array, ARRAY)
        assert (word, found["other"].tolist()) == ("é", [[9]])


def test_variables_that_are_not_asked_for_are_skipped(read):
    structure = matrix(2, (1, 1), element(5, struct.pack("<i", 8)), "s")
    assert list(read(mat_file(structure, numbers(ARRAY, "a")), "a", "b")) == ["a"]
    assert read(mat_file(), "a") == {}


def deep(levels):
    inner = numbers([[1]])
    for _ in range(levels):
        inner = cells([inner], "")
    return cells([inner], "a")


def with_sides(*sides):
    return matrix(DOUBLE, sides, element(9, np.zeros(6).tobytes()), "a")


WRONG = {
    "a struct": (matrix(2, (1, 1), b"", "a"), "a: .*class 2 .*1 x 1"),
    "complex numbers": (matrix(DOUBLE | 0x0800, (1, 1), b"", "a"), r"a: .*complex, 1 x 1"),
    "lines of text": (matrix(CHAR, (2, 3), b"", "a"), r"a: .*a line of text.*2 x 3"),
    "cells in cells": (deep(1), "a: cell 1: expected real numbers.*class 1 "),
    "many cells in cells": (deep(3000), "a: cell 1: expected real numbers"),
    "three sides": (with_sides(1, 2, 3), "a: expected a matrix of 2 sides, found one of 3"),
    "one side": (with_sides(6), "2 sides, found one of 1"),
    "a side below 0": (with_sides(-2, -3), "at least 0, found -2 x -3"),
    "too few numbers": (with_sides(2, 4), r"expected 64 bytes of float64 \(2, 4\), found 48"),
    "many numbers": (with_sides(2**31 - 1, 2**31 - 1), "bytes of float64 .*found 48"),
    "missing cells": (matrix(CELL, (1, 3), numbers([[1]]), "a"), "expected 3 cells, found 1"),
    "many cells": (matrix(CELL, (2**31 - 1, 2**31 - 1), b"", "a"), "at most 1000000 cells"),
    "a cell of no matrix": (matrix(CELL, (1, 1), element(9, bytes(8)), "a"), "cell 1: .*type 9"),
    "numbers of no type": (matrix(DOUBLE, (1, 1), element(8, bytes(8)), "a"), "numbers.*type 8"),
    "a text of numbers": (matrix(CHAR, (1, 1), element(9, bytes(8)), "a"), "text.*type 9"),
    "a text of no letters": (matrix(CHAR, (1, 1), element(4, b"\0\xd8"), "a"), "a: .*utf-16"),
    "nothing": (matrix(DOUBLE, (1, 1), b"", "a"), "expected numbers, found the end"),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_variables_are_refused_with_their_place(read, name):
    variable, message = WRONG[name]
    for compressed in (False, True):
        with pytest.raises(DataError, match=rf"a\.mat: .*{message}"):
            read(mat_file(variable, compressed=compressed), "a")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"level 5, found b''; .*-v7"),
        (b"\x89HDF\r\n" + bytes(200), r"level 5, found b'.x89HDF"),
        (b"MATLAB 7.3".ljust(124) + b"\0\2IM", "found level 7.3, an HDF5 file; .*-v7"),
        (mat_file() + b"\1\2\3", "found 3 bytes"),
        (mat_file(element(9, bytes(24)), compressed=False), "a variable, found .*type 9"),
        (mat_file(element(9, bytes(80))[:-8], compressed=False), "expected 80 bytes, found 72"),
        (mat_file(struct.pack("<II", 9 | 5 << 16, 0), compressed=False), "expected 5 bytes"),
        (mat_file(element(15, b"no zlib"), compressed=False), "cannot be decompressed"),
        (mat_file(element(15, PACKED[:-4]), compressed=False), "cut short: expected the end"),
        (mat_file(element(15, PACKED[:-1] + b"?"), compressed=False), "cannot be decompressed"),
    ],
)
def test_damaged_files_are_refused(read, data, message):
    with pytest.raises(DataError, match=rf"a\.mat: .*{message}"):
        read(data, "a")


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"b\.mat: cannot be read: No such file"):
        read_mat(tmp_path / "b.mat", ["a"])


def test_a_file_that_is_cut_short_is_refused(read):
    for compressed in (False, True):
        whole = mat_file(cells([numbers(ARRAY), text("x")], "a"), compressed=compressed)
        for length in range(129, len(whole) - 8):
            with pytest.raises(DataError):
                read(whole[:length], "a")
