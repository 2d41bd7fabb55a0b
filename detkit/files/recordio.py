"""MXNet's RecordIO: a file of many records, and an index of where each of them begins.

A record is one or several parts. A part has a header of 8 bytes, the number MAGIC and a length, in
whose upper 3 bits is the kind of the part, then its bytes, and zeros up to a multiple of 4. If
MAGIC stands in a record at a multiple of 4, it is left out there, and a new part begins. The index
is a text file of lines "KEY<tab>OFFSET". The files are those of mx.recordio.MXIndexedRecordIO, and
nothing here needs MXNet.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO, Iterator, List, Tuple

from detkit.errors import DataError

MAGIC = 0xCED7230A
_MAGIC, _HEADER = struct.pack("<I", MAGIC), struct.Struct("<II")
WHOLE, FIRST, MIDDLE, LAST = range(4)  # the kinds of parts
LENGTH_BITS, ALIGNMENT = 29, 4
# What mx.recordio.pack writes before the bytes of an image: flag, label, id, id2.
_IMAGE_HEADER = struct.Struct("<IfQQ")
LONGEST = 1 << 28  # bytes of a record
MOST_INDEX_BYTES = 1 << 28
LONGEST_NUMBER = 19  # digits of a key or an offset


def write_record(file: BinaryIO, number: int, data: bytes) -> int:
    """Appends an image's record to an open file, and returns the offset at which it begins.

    number: the ``id`` of MXNet's IRHeader. data: the bytes of an image file.

    Raises DataError if the image is longer than LONGEST.
    """
    if len(data) > LONGEST - _IMAGE_HEADER.size:
        raise DataError(f"image {number}: expected at most {LONGEST} bytes, found {len(data)}")
    offset = file.tell()
    parts = _split(_IMAGE_HEADER.pack(0, 0.0, number, 0) + data)
    kinds = [WHOLE] if len(parts) == 1 else [FIRST, *[MIDDLE] * (len(parts) - 2), LAST]
    for kind, part in zip(kinds, parts):
        file.write(_HEADER.pack(MAGIC, kind << LENGTH_BITS | len(part)))
        file.write(part + bytes(-len(part) % ALIGNMENT))
    return offset


def _split(record: bytes) -> List[bytes]:
    """Returns what lies between the aligned occurrences of MAGIC in a record."""
    parts, start, place = [], 0, record.find(_MAGIC)
    while place >= 0:
        if place % ALIGNMENT:
            place = record.find(_MAGIC, place + 1)
            continue
        parts.append(record[start:place])
        start = place + len(_MAGIC)
        place = record.find(_MAGIC, start)
    return [*parts, record[start:]]


class RecordFile:
    """The records of a file, by their keys. The index has the file's name with the suffix .idx.

    keys: the keys, in the order of the index.

    Threads may read at once, because the file is opened for each record. Nothing is unpickled.
    Raises DataError if a file is missing or if the index is malformed or does not fit.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._index = path, path.with_suffix(".idx")
        self._size = _size_of(path)
        self._offsets = dict(self._read_index())
        self.keys = tuple(self._offsets)

    def __contains__(self, key: object) -> bool:
        return key in self._offsets

    def read(self, key: int, most: int = LONGEST) -> bytes:
        """Returns the bytes of an image file, or the first ``most`` of them.

        Raises DataError for an unknown key, and for a record that is truncated or malformed.
        """
        if key not in self._offsets:
            raise DataError(f"{self._index}: expected the key {key}, found no such key")
        where = f"{self._path}: record {key}"
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offsets[key])
                record = self._parts(file, where, most + _IMAGE_HEADER.size)
        except OSError as error:
            raise DataError(f"{where}: cannot be read: {error.strerror}") from error
        if len(record) < _IMAGE_HEADER.size:
            raise DataError(
                f"{where}: expected at least {_IMAGE_HEADER.size} bytes, found {len(record)}"
            )
        flag, _, number, _ = _IMAGE_HEADER.unpack_from(record)
        if number != key:
            raise DataError(f"{where}: expected the id {key} in its header, found {number}")
        start = _IMAGE_HEADER.size + 4 * flag  # flag numbers of a label come before the image
        if start > len(record):
            raise DataError(f"{where}: expected a label of {flag} numbers, found a shorter record")
        return record[start:]

    def _parts(self, file: BinaryIO, where: str, most: int) -> bytes:
        """Returns the joined parts of the record that begins here, its first ``most`` bytes."""
        kind, length = self._header(file, where)
        if kind == WHOLE:
            return file.read(min(length, most))
        if kind != FIRST:
            raise DataError(f"{where}: expected the beginning of a record, found a later part")
        record = bytearray(self._part(file, length))
        while kind != LAST and len(record) < most:  # an index may name a long record often
            kind, length = self._header(file, where)
            if kind not in (MIDDLE, LAST):
                raise DataError(f"{where}: expected a further part, found another record")
            record += _MAGIC + self._part(file, length)
            if len(record) > LONGEST:
                raise DataError(f"{where}: expected at most {LONGEST} bytes, found more")
        return bytes(record[:most])

    def _part(self, file: BinaryIO, length: int) -> bytes:
        data = file.read(length)
        file.seek(-length % ALIGNMENT, os.SEEK_CUR)
        return data

    def _header(self, file: BinaryIO, where: str) -> Tuple[int, int]:
        """Returns the kind and the length of a part that lies wholly in the file."""
        offset, header = file.tell(), file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise DataError(f"{where}: expected a header at byte {offset}, found the end of file")
        magic, word = _HEADER.unpack(header)
        if magic != MAGIC:
            raise DataError(
                f"{where}: expected the number {MAGIC:#x} at byte {offset}, found {magic:#x}"
            )
        kind, length = word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1)
        left = self._size - file.tell()
        if kind > LAST or length > min(left, LONGEST):
            raise DataError(
                f"{where}: expected a part of at most {min(left, LONGEST)} bytes, found kind "
                f"{kind} with {length} bytes; the file is truncated or damaged"
            )
        return kind, length

    def _read_index(self) -> Iterator[Tuple[int, int]]:
        if _size_of(self._index) > MOST_INDEX_BYTES:
            raise DataError(f"{self._index}: expected at most {MOST_INDEX_BYTES} bytes, found more")
        seen = set()
        for number, line in enumerate(self._index.read_bytes().splitlines(), 1):
            words = line.split()
            if not words:
                continue
            where = f"{self._index}:{number}"
            if len(words) != 2 or not all(w.isdigit() and len(w) <= LONGEST_NUMBER for w in words):
                raise DataError(f"{where}: expected a key and an offset, found {line[:80]!r}")
            key, offset = map(int, words)
            if key in seen:
                raise DataError(f"{where}: expected a key that no other line has, found {key}")
            if offset > self._size - _HEADER.size:
                raise DataError(
                    f"{where}: expected an offset in the {self._size} bytes of {self._path}, found "
                    f"{offset}"
                )
            seen.add(key)
            yield key, offset


def _size_of(path: Path) -> int:
    """Returns the bytes of a file. Raises DataError if it is no file."""
    try:
        if os.path.isfile(path):
            return os.path.getsize(path)
        found = "a folder" if os.path.isdir(path) else "no such file"
    except (OSError, ValueError) as error:
        found = str(error)
    raise DataError(f"{path}: expected a file, found {found}")


def index_line(key: int, offset: int) -> str:
    """Returns a line of an index."""
    return f"{key}\t{offset}\n"
