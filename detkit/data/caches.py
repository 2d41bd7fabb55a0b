"""Caches of decoded images, in memory or on disk, so that later epochs need not decode them again.

Pixels are kept as they are, because reading them is several times as fast as decoding a JPEG of the
same image, and a PNG takes longer still.
"""

import fcntl
import hashlib
import json
import logging
import os
import struct
import threading
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Protocol, Tuple, Union

import cv2
import numpy as np

from detkit.errors import DataError
from detkit.files.disk import make_folder

log = logging.getLogger(__name__)

MB = 1_000_000  # bytes
MAGIC = b"detkit-1"
# Big-endian: MAGIC, the sha256 of what the pixels were made of, height, width, CRC.
HEADER = struct.Struct(">8s32sIII")
COUNT = struct.Struct(">Q")  # bytes of all entries, in the file that is locked
ENTRY, PART, LOCK = ".image", ".part", "cache.lock"

Decode = Callable[[], Optional[np.ndarray]]


class ImageCache(Protocol):
    """The protocol of a cache, which any number of threads may use.

    needs_files: whether images are known by their files, which the dataset must have.
    """

    needs_files: bool

    def image(self, source: Any, number: int, factor: int, decode: Decode) -> Optional[np.ndarray]:
        """Returns an image (H, W, 3) uint8 that cannot be written to, or None if ``decode`` does.

        source: the dataset that has the image. number: its index there. factor: that of its size.
        decode: decodes the image.

        Raises the errors of ``decode``, and nothing else.
        """


class MemoryCache:
    """An ImageCache in the memory of the process.

    limit_mb: the most memory that the images take, in megabytes of a million bytes. When it is
        full, it keeps what it has: as every image is read once an epoch, replacing one image by
        another would gain nothing.
    """

    needs_files = False

    def __init__(self, limit_mb: int = 2000) -> None:
        self._limit = _bytes_of(limit_mb)
        self._used = 0
        self._full = False
        # The dataset is kept with the image, so that its id stays its own.
        self._entries: Dict[Tuple[int, int, int], Tuple[Any, np.ndarray]] = {}
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """The bytes of all images in the cache."""
        return self._used

    def image(self, source: Any, number: int, factor: int, decode: Decode) -> Optional[np.ndarray]:
        """Returns an image, see ImageCache."""
        key = id(source), number, factor
        entry = self._entries.get(key)
        if entry is not None:
            return entry[1]
        image = decode()
        if image is None:
            return None
        image = _read_only(image)
        with self._lock:
            if key not in self._entries and self._used + image.nbytes <= self._limit:
                self._entries[key] = source, image
                self._used += image.nbytes
            elif key not in self._entries and not self._full:
                self._full = True
                _say_full("memory", self._limit)
        return image


class DiskCache:
    """An ImageCache in a folder, which later runs and runs at the same time share.

    folder: the folder, which is made if it is not there. It is for the cache alone.
    limit_mb: the most bytes that its entries take, in megabytes of a million bytes. When it is
        full, it keeps what it has. A folder with more than that loses its oldest entries.

    An entry is used if the image's file has the path, the size and the time of change, and OpenCV
    the version, with which it was made, and if its checksum is right. Any other entry is made
    again. Entries are written under a lock of the folder, whole or not at all.

    Raises DetkitError if the folder cannot be written to, and DataError if it cannot be locked.
    """

    needs_files = True

    def __init__(self, folder: str, limit_mb: int = 20_000) -> None:
        self._limit = _bytes_of(limit_mb)
        self._folder = Path(folder).expanduser()
        self._full = self._stopped = False
        make_folder(self._folder)
        try:
            with self._locked() as lock:
                self._clear(lock)
        except OSError as error:
            raise DataError(
                f"{self._folder}: expected a folder whose files can be locked and removed, so that "
                f"several runs can share it, found none ({error.strerror}); choose another folder "
                "for data.cache"
            ) from error

    @property
    def used(self) -> int:
        """The bytes of all entries in the folder."""
        with self._locked() as lock:
            return self._count(lock)

    def image(self, source: Any, number: int, factor: int, decode: Decode) -> Optional[np.ndarray]:
        """Returns an image, see ImageCache."""
        path = Path(source.image_path(number)).absolute()
        entry = self._folder / (hashlib.sha256(f"{path}:{factor}".encode()).hexdigest() + ENTRY)
        stamp = _stamp(path, factor)
        if stamp is not None:
            image = _load(entry, stamp)
            if image is not None:
                return image
        image = decode()
        if image is None:
            return None
        image = _read_only(image)
        if stamp is not None and not self._stopped and image.dtype == np.uint8:
            try:
                self._store(entry, stamp, image)
            except OSError as error:  # a full disk, or a folder that is gone
                self._stopped = True
                log.warning("data.cache: %s: nothing more is stored: %s", self._folder, error)
        return image

    def _store(self, entry: Path, stamp: bytes, image: np.ndarray) -> None:
        with self._locked() as lock:
            count = self._count(lock) - _size(entry) + HEADER.size + image.nbytes
            if count > self._limit:
                if not self._full:
                    _say_full(str(self._folder), self._limit)
                self._full = True
                return
            pixels = image.tobytes()
            header = HEADER.pack(MAGIC, stamp, *image.shape[:2], _checksum(image.shape, pixels))
            # Before the file is there: a process that is killed in between counts too much.
            _write_count(lock, count)
            part = entry.with_suffix(PART)
            try:
                part.write_bytes(header + pixels)
                os.replace(part, entry)
            except OSError:
                with suppress(OSError):
                    part.unlink()
                _write_count(lock, self._sum())
                raise

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Yields the descriptor of the locked file, which the end of a process unlocks, too."""
        path = self._folder / LOCK
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _clear(self, lock: int) -> None:
        """Removes what a killed process left, and the oldest entries above the limit."""
        for part in self._folder.glob(f"*{PART}"):
            part.unlink()
        entries = sorted(self._folder.glob(f"*{ENTRY}"), key=lambda each: each.stat().st_mtime)
        count = sum(map(_size, entries))
        for entry in entries:
            if count <= self._limit:
                break
            count -= _size(entry)
            entry.unlink()
        _write_count(lock, count)

    def _count(self, lock: int) -> int:
        """Returns the bytes of all entries, of all processes that share the folder."""
        data = os.pread(lock, COUNT.size, 0)
        return int(COUNT.unpack(data)[0]) if len(data) == COUNT.size else self._sum()

    def _sum(self) -> int:
        return sum(map(_size, self._folder.glob(f"*{ENTRY}")))


def _bytes_of(limit_mb: int) -> int:
    if limit_mb < 1:
        raise ValueError(f"limit_mb: expected at least 1 megabyte, found {limit_mb!r}")
    return limit_mb * MB


def _read_only(image: np.ndarray) -> np.ndarray:
    """Returns a view that no transform can change, as it would change later epochs, too."""
    view = image.view()
    view.flags.writeable = False
    return view


def _say_full(where: str, limit: int) -> None:
    log.warning(
        "data.cache: %s: %d MB are full; the other images are decoded in each epoch; raise "
        "data.cache.limit_mb to keep more",
        where,
        limit // MB,
    )


def _stamp(path: Path, factor: int) -> Optional[bytes]:
    """Returns the sha256 of what the pixels of a file depend on; None for a file that is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    made_of = [str(path), factor, stat.st_size, stat.st_mtime_ns, cv2.__version__]
    return hashlib.sha256(json.dumps(made_of).encode()).digest()


def _load(entry: Path, stamp: bytes) -> Optional[np.ndarray]:
    """Returns the image of an entry; None for one that is missing, damaged or of another file."""
    try:
        data = entry.read_bytes()
    except OSError:
        return None
    if len(data) < HEADER.size:
        return None
    magic, made_of, height, width, checksum = HEADER.unpack_from(data)
    pixels = memoryview(data)[HEADER.size :]
    shape = height, width, 3
    if (magic, made_of, height * width * 3) != (MAGIC, stamp, len(pixels)):
        return None
    if _checksum(shape, pixels) != checksum:
        return None
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _checksum(shape: Tuple[int, ...], pixels: Union[bytes, memoryview]) -> int:
    """Returns the CRC of the size and the pixels of an image."""
    return zlib.crc32(pixels, zlib.crc32(repr(shape).encode()))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _write_count(lock: int, count: int) -> None:
    os.pwrite(lock, COUNT.pack(count), 0)
