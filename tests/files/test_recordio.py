"""Record files, beside those of mx.recordio, which is another program's reader and writer."""

import io
import struct
from concurrent.futures import ThreadPoolExecutor

import mxnet as mx
import numpy as np
import pytest

from detkit.errors import DataError
from detkit.files import recordio
from detkit.files.recordio import LONGEST, MAGIC, RecordFile, index_line, write_record

MARK = struct.pack("<I", MAGIC)
IMAGES = [
    b"",
    b"a",
    b"four" * 3,
    np.random.default_rng(0).bytes(1001),
    MARK,
    b"abcd" + MARK + b"efgh",  # at a multiple of 4: the record has parts
    b"abc" + MARK + b"efgh",  # it has none
    MARK + MARK + b"x" + MARK + b"y" * 3 + MARK,
]


def write(folder, images=IMAGES):
    """A record file with its index."""
    path = folder / "a.rec"
    with open(path, "wb") as file:
        lines = [index_line(key, write_record(file, key, data)) for key, data in enumerate(images)]
    path.with_suffix(".idx").write_text("".join(lines))
    return path


def mx_write(folder, images, label=0.0):
    path = folder / "mx.rec"
    file = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for key, data in enumerate(images):
        header = mx.recordio.IRHeader(0, label, key, 0)
        file.write_idx(key, mx.recordio.pack(header, data))
    file.close()
    return path


def test_the_files_are_those_of_mxnet(tmp_path):
    ours, theirs = write(tmp_path), mx_write(tmp_path, IMAGES)
    assert ours.read_bytes() == theirs.read_bytes()
    assert ours.with_suffix(".idx").read_text() == theirs.with_suffix(".idx").read_text()


def test_records_are_read_in_any_order_by_both(tmp_path):
    path = write(tmp_path)
    ours = RecordFile(path)
    theirs = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "r")
    assert ours.keys == tuple(range(len(IMAGES)))
    for key in (5, 0, 7, 3, 3, 6, 1, 4, 2):
        assert ours.read(key) == IMAGES[key]
        assert mx.recordio.unpack(theirs.read_idx(key))[1] == IMAGES[key]
    assert ours.read(3, most=10) == IMAGES[3][:10]
    assert [ours.read(5, most=n) for n in (0, 3, 6, 99)] == [IMAGES[5][:n] for n in (0, 3, 6, 99)]
    assert 7 in ours
    assert 8 not in ours


def test_a_label_of_several_numbers_is_passed_over(tmp_path):
    path = mx_write(tmp_path, IMAGES[:4], label=[1.0, 2.5, 3.0])
    assert [RecordFile(path).read(key) for key in range(4)] == IMAGES[:4]


def test_threads_read_at_once(tmp_path):
    images = [bytes([n]) * (1000 + n) for n in range(100)]
    records = RecordFile(write(tmp_path, images))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(records.read, range(100))) == images


def test_an_image_that_is_too_long_is_not_written(monkeypatch):
    monkeypatch.setattr(recordio, "LONGEST", 100)
    with pytest.raises(DataError, match="image 3: expected at most 100 bytes, found 90"):
        write_record(io.BytesIO(), 3, bytes(90))


HEAD = struct.Struct("<II")
# Record 0 begins at byte 0 and has 24 bytes, record 1 begins at byte 32 and has 25. What takes the
# place of the bytes from a place on, or None for a file that ends there; the key that is then
# damaged, and words of the error.
BROKEN = [
    (41, None, 1, ("at most 1 bytes", "25 bytes", "truncated")),
    (0, b"\0", 0, ("0xced7230a", "byte 0")),
    (0, HEAD.pack(MAGIC, (1 << 29) - 1), 0, ("536870911 bytes",)),
    (0, HEAD.pack(MAGIC, 5 << 29 | 24), 0, ("kind 5",)),
    (0, HEAD.pack(MAGIC, 2 << 29 | 24), 0, ("a later part",)),
    (0, HEAD.pack(MAGIC, 1 << 29 | 24), 0, ("a further part",)),
    (32, HEAD.pack(MAGIC, 1 << 29 | 25), 1, ("a header at byte 68", "end of file")),
    (0, HEAD.pack(MAGIC, 20), 0, ("24 bytes", "found 20")),
    (8, b"\xff" * 4, 0, ("label", "4294967295")),
    (16, b"\7", 0, ("id 0", "found 7")),
]


@pytest.mark.parametrize(("place", "new", "key", "says"), BROKEN)
def test_a_damaged_record_is_an_error_and_the_others_are_read(tmp_path, place, new, key, says):
    path = write(tmp_path, IMAGES[:2])
    data = path.read_bytes()
    rest = b"" if new is None else new + data[place + len(new) :]
    path.write_bytes(data[:place] + rest)
    records = RecordFile(path)
    with pytest.raises(DataError) as caught:
        records.read(key)
    for words in (f"a.rec: record {key}: ", *says):
        assert words in str(caught.value)
    assert records.read(1 - key) == IMAGES[1 - key]


def test_parts_without_end_are_bounded(tmp_path, monkeypatch):
    part = HEAD.pack(MAGIC, 1 << 29 | 40) + bytes(40)
    (tmp_path / "a.rec").write_bytes(part + 50 * (HEAD.pack(MAGIC, 2 << 29 | 40) + bytes(40)))
    (tmp_path / "a.idx").write_text("0\t0\n")
    monkeypatch.setattr(recordio, "LONGEST", 1000)
    with pytest.raises(DataError, match="record 0: expected at most 1000 bytes, found more"):
        RecordFile(tmp_path / "a.rec").read(0)


INDICES = [
    ("0\t0\n1", (":2: ", "a key and an offset", "b'1'")),
    ("0\t0\n1\t-8\n", (":2: ", "b'1\\t-8'")),
    ("0\t0\n1\t0x20\n", (":2: ",)),
    ("0\t0\n0\t32\n", (":2: ", "no other line has, found 0")),
    ("0\t0\n1\t9999\n", (":2: ", "68 bytes", "found 9999")),
    (f"0\t{'9' * 5000}\n", (":1: ", "a key and an offset")),
    ("0\t\xb2\n", (":1: ",)),
    (None, ("a.idx: expected a file, found no such file",)),
]


@pytest.mark.parametrize(("text", "says"), INDICES)
def test_a_malformed_index_is_refused(tmp_path, text, says):
    path = write(tmp_path, IMAGES[:2])
    if text is None:
        path.with_suffix(".idx").unlink()
    else:
        path.with_suffix(".idx").write_text(text)
    with pytest.raises(DataError) as caught:
        RecordFile(path)
    for words in ("a.idx", *says):
        assert words in str(caught.value)


def test_a_large_index_is_refused_before_it_is_read(tmp_path):
    path = write(tmp_path, IMAGES[:2])
    with open(path.with_suffix(".idx"), "r+b") as file:
        file.truncate(1 << 40)  # a file with a hole, which takes no room
    with pytest.raises(DataError, match="a.idx: expected at most"):
        RecordFile(path)
    assert LONGEST < 1 << 30
    with pytest.raises(DataError, match="expected the key 9, found no such key"):
        RecordFile(write(tmp_path)).read(9)
