"""Guards of a worker: it runs no program, opens no file outside of its folder, has limited memory.

The guards are Python's audit events and the kernel's limit on address space. An exception in an
audit hook can be caught by the reader under test; violations are therefore recorded as well.
"""

import os
import resource
import sys
import sysconfig
from pathlib import Path
from typing import Any, List, Tuple

MEMORY = 1 << 30  # bytes above those of the loaded program
# Events that run or load a program, reach the network or change files.
REFUSED = (
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill"),
    *("subprocess.Popen", "pty.spawn", "socket.connect"),
    *("os.remove", "os.rename", "os.rmdir", "os.chmod", "shutil.rmtree", "pickle.find_class"),
)
LIBRARIES = tuple(
    str(Path(path).resolve())
    for path in (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"], sys.base_prefix)
)


class Guard:
    """The audit hook of a process; it cannot be removed, but it can be switched off.

    folders: the folders whose files a reader may open.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = tuple(str(folder.resolve()) for folder in folders)
        self.armed = False
        self.violations: List[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: Tuple[Any, ...]) -> None:
        if not self.armed:
            return
        refused = event in REFUSED
        if event == "open":
            refused = not self._may_open(*arguments)
        elif event == "exec":
            refused = not self._is_library(getattr(arguments[0], "co_filename", ""))
        if refused:
            self.violations.append(f"{event} {arguments!r}"[:300])
            raise RuntimeError(f"refused by the guard: {event}")

    def _may_open(self, path: Any, mode: Any, flags: int) -> bool:
        if isinstance(path, int):
            return True
        resolved = os.path.realpath(os.fsdecode(path))
        if any(resolved == f or resolved.startswith(f + os.sep) for f in self._folders):
            return True
        reads = not flags & (os.O_WRONLY | os.O_RDWR)
        return reads and (self._is_library(resolved) or resolved.startswith("/proc/self/"))

    @staticmethod
    def _is_library(path: str) -> bool:
        # numpy and namedtuple run code that they make themselves, from "<string>" and the like.
        return path.startswith("<") or path.startswith(LIBRARIES)


def limit_memory() -> None:
    """Sets the limit on address space to what the process has and 1 GiB more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
