"""A text file that grows while frames come, and gets its name when it is complete."""

import contextlib
import os
from pathlib import Path
from typing import IO, Iterator

from detkit.errors import DataError
from detkit.files.disk import sync


class GrowingFile:
    """A text file in UTF-8 under another name, ``NAME.part``, until it is closed.

    path: its name at the end. A file of that name is replaced.

    Nothing of it is kept in memory. If the process is killed, what was written until then is in
    ``NAME.part``. Raises DataError if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = self._part.open("w", encoding="utf-8", newline="")

    def write(self, text: str) -> None:
        """Adds text. Half a character, which UTF-8 cannot hold, becomes a question mark."""
        with self._errors():
            self._file.write(text.encode("utf-8", "replace").decode())

    def close(self) -> None:
        """Completes the file and gives it its name."""
        with self._errors():
            self._file.close()
            sync(self._part)
            os.replace(self._part, self._path)

    def close_into(self, other: "GrowingFile") -> None:
        """Appends the text to another file instead, and removes this one."""
        with self._errors():
            self._file.close()
            with open(self._part, encoding="utf-8", newline="") as file:
                for text in iter(lambda: file.read(1 << 20), ""):
                    other.write(text)
            self._part.unlink()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"{self._path}: cannot be written: {error.strerror}") from error


def write_whole(path: Path, text: str) -> None:
    """Writes a small file in UTF-8, and makes its folder. Raises DataError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error


class GrowingList:
    """A JSON list in a GrowingFile, one entry per line.

    opening, ending: the text around the entries.
    """

    def __init__(self, path: Path, opening: str = "[", ending: str = "\n]\n") -> None:
        self.file, self.count, self._ending = GrowingFile(path), 0, ending
        self.file.write(opening)

    def add(self, entry: str) -> None:
        """Adds an entry, which is JSON."""
        self.file.write(f"{',' * (self.count > 0)}\n{entry}")
        self.count += 1

    def end(self) -> None:
        """Writes the text after the entries."""
        self.file.write(self._ending)

    def close(self) -> None:
        """Completes the file."""
        self.end()
        self.file.close()
