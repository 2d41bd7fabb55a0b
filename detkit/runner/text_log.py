"""The file log.txt of a run: the lines that a user of the terminal sees, each with its time."""

import logging
import os
import time

from detkit.cli import PROGRESS

TEXT_LOG = "log.txt"


class TextLog(logging.Handler):
    """A writer of ``log.txt``, which a resumed run continues.

    The file is a copy for the user, and nothing reads it: a line that cannot be written, because
    the disk is full, is left out. log.jsonl, which is needed, says so.

    work_dir: the folder of the run.
    """

    def __init__(self, work_dir: str):
        super().__init__()
        self._path = os.path.join(work_dir, TEXT_LOG)

    def write(self, text: str) -> None:
        """Appends a text; further lines of it are indented."""
        lines = text.replace("\n", "\n    ")
        try:
            with open(self._path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {lines}\n")
        except OSError:
            self._path = os.devnull

    def follow(self) -> None:
        """Begins to copy what detkit's loggers say beside the lines of the run."""
        logging.getLogger("detkit").addHandler(self)

    def close(self) -> None:
        """Ends the copying."""
        logging.getLogger("detkit").removeHandler(self)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record of a logger, unless the run writes its text itself."""
        if record.name != PROGRESS:
            is_fault = record.levelno >= logging.WARNING and not hasattr(record, "notice")
            self.write("warning: " * is_fault + self.format(record))
