"""The compiled library in the cache: complete, of its owner, and compiled by one process at a time.

A library that was cut short kills a process that loads it, with a bus error and without a message.
It is therefore written beside its sha256 and compared with that before it is used.
"""

import fcntl
import logging
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

from detkit.cli import NOTICE
from detkit.errors import DetkitError
from detkit.files.disk import make_folder, sha256_of

log = logging.getLogger(__name__)

SUM, LOCK, SCRATCH = ".sha256", "lock", "compiling-"  # names beside the library


class CacheError(DetkitError):
    """Says why a folder of the cache cannot be used."""


def cached(path: Path, compile_into: Callable[[Path, Path], None], notice: str = "") -> Path:
    """Returns ``path``, which is compiled now if the cache has no complete library.

    compile_into: called with an empty folder to work in and with the path of the library to write.
    notice: what is said before, beside the folder: why it is compiled and how long that takes.

    Raises CacheError for a folder that cannot be written or that others may write.
    """
    folder = path.parent
    if folder.exists():
        _check_owner(folder)
    if _is_complete(path):
        return path
    try:
        make_folder(folder)
    except DetkitError as error:
        raise CacheError(f"{error} (DETKIT_CACHE names the cache)") from error
    _check_owner(folder)
    with _locked(folder / LOCK):
        if not _is_complete(path):  # another process may have compiled it meanwhile
            _compile(path, compile_into, notice)
    return path


def _compile(path: Path, compile_into: Callable[[Path, Path], None], notice: str) -> None:
    if path.exists():
        log.warning("%s: expected a complete library, found a damaged one; it is replaced", path)
    for left in path.parent.glob(f"{SCRATCH}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    # A warning is seen in a program that has not configured its logging, too.
    line = "compiling detkit's operators, once, into %s: %s"
    log.warning(line, path.parent, notice, extra=NOTICE)
    scratch = path.parent / f"{SCRATCH}{os.getpid()}"
    scratch.mkdir()
    try:
        made = scratch / path.name
        compile_into(scratch, made)
        digest = scratch / f"{path.name}{SUM}"
        digest.write_text(f"{sha256_of(made)}  {path.name}\n", encoding="ascii")
        for file in (made, digest):
            _flush(file)
            os.replace(file, path.parent / file.name)
        _flush(path.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_complete(path: Path) -> bool:
    """Returns whether the library is there and has the sha256 that was written with it."""
    try:
        expected, _ = (path.parent / f"{path.name}{SUM}").read_text(encoding="ascii").split()
        return sha256_of(path) == expected
    except (OSError, ValueError):
        return False


def _check_owner(folder: Path) -> None:
    """Raises CacheError if somebody else could put a library into the folder."""
    status = folder.stat()
    if status.st_uid not in (0, os.getuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CacheError(
            f"{folder}: expected a folder that only you or root may write, found owner "
            f"{status.st_uid} and mode {stat.filemode(status.st_mode)}; correct its owner and its "
            "mode, or name another cache in DETKIT_CACHE"
        )


def _flush(path: Path) -> None:
    """Writes a file or the names in a folder to the disk, so that a power failure keeps them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file; the system releases it if the process dies."""
    with open(path, "a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read() or "another process"
            line = "waiting for %s, which compiles detkit's operators"
            log.warning(line, holder, extra=NOTICE)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield
