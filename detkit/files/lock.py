"""A lock on the folder of a run, so that only one process at a time writes into it."""

import datetime
import errno
import fcntl
import json
import logging
import os
import socket
from contextlib import contextmanager, suppress
from typing import Dict, Iterator, Optional

from detkit.errors import DetkitError

log = logging.getLogger(__name__)

LOCK = "run.lock"  # the file's name
_LONGEST = 4096  # bytes of the file that are read
# The errors of a file system that has no locks, as some network file systems.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Holds the lock on an existing ``folder`` for the length of a ``with`` block.

    The lock is an flock on ``folder``/run.lock. The system releases it when the process ends, even
    by SIGKILL, so that a file that is left behind is no obstacle. A file system without locks gets
    a warning, and the block runs without one.

    Raises DetkitError, with the process and the host, if another process holds the lock.
    """
    path = os.path.join(folder, LOCK)
    descriptor = _acquire(path)
    if descriptor is None:
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # the folder may have been moved or removed during the run
            if _is(descriptor, path):
                os.unlink(path)
        os.close(descriptor)


def _acquire(path: str) -> Optional[int]:
    """Returns the descriptor of the locked file; None if the file system has no locks."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise DetkitError(
                f"{path}: expected a file that can be written, so that the run can be locked, "
                f"found none ({error.strerror}); correct the permissions, or choose another folder"
            ) from error
        locks = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The process that held the lock may have removed the file in the meantime.
            locks = _is(descriptor, path)
            if locks:
                _write_owner(descriptor)
                return descriptor
        except BlockingIOError as error:
            raise DetkitError(_refusal(path, _read_owner(descriptor))) from error
        except OSError as error:
            if locks or error.errno not in _NO_LOCKS:
                raise DetkitError(f"{path}: cannot be locked: {error.strerror}") from error
            log.warning(
                "%s: expected a file system with locks, found none (%s); make sure that no other "
                "training uses this folder",
                path,
                error.strerror,
            )
            return None
        finally:
            if not locks:
                os.close(descriptor)


def _is(descriptor: int, path: str) -> bool:
    """Returns whether ``path`` still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _write_owner(descriptor: int) -> None:
    owner = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    with suppress(OSError):  # the lock holds on a full disk too
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (json.dumps(owner) + "\n").encode(), 0)


def _read_owner(descriptor: int) -> Dict[str, object]:
    try:
        owner = json.loads(os.pread(descriptor, _LONGEST, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _refusal(path: str, owner: Dict[str, object]) -> str:
    pid, host = owner.get("pid", "(unknown)"), owner.get("host", "(unknown)")
    return (
        f"{os.path.dirname(path)}: expected a folder that no other training uses, found it locked "
        f"by process {pid} on host {host}, which started at {owner.get('started', '(unknown)')}; "
        "wait for its end or stop it, or choose another folder with --work-dir DIR"
    )
