"""What a run says: log.jsonl always, and a progress bar or plain lines on the terminal."""

import json
import math
import os
import sys

from tqdm import tqdm

from detkit.errors import DetkitError


class RunLog:
    """Writes ``log.jsonl`` in a work folder, one JSON object per line, and speaks to the user."""

    def __init__(self, work_dir, total, done=0):
        self._path = os.path.join(work_dir, "log.jsonl")
        self._interactive = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=done,
            disable=not self._interactive,
            unit="step",
            dynamic_ncols=True,
        )

    def write(self, kind, **fields):
        """Append a record; numbers that are not finite become null."""
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(_finite({"kind": kind, **fields})) + "\n")
        except OSError as error:
            raise DetkitError(f"{self._path}: cannot be written: {error.strerror}") from error

    def say(self, text):
        """A line for the user, above the bar if there is one."""
        if self._interactive:
            tqdm.write(text)
        else:
            print(text, flush=True)

    def advance(self, step):
        """Move the bar to ``step``."""
        self._bar.update(step - self._bar.n)

    def show(self, text, line):
        """``text`` beside the bar; ``line`` instead of it where the output is no terminal."""
        if self._interactive:
            self._bar.set_postfix_str(text)
        else:
            print(line, flush=True)

    def close(self):
        """Finish the bar."""
        self._bar.close()


class FaultLog:
    """Writes what a Loader had to leave out since the last time: images and boxes, by id."""

    def __init__(self, log, loader):
        self._log, self._loader = log, loader
        self._images = self._boxes = 0

    def update(self):
        """Records each in log.jsonl; an image is also told to the user."""
        for image_id, reason in list(self._loader.skipped.items())[self._images :]:
            self._log.write("bad_image", image_id=image_id, reason=reason)
            self._log.say(f"skipped {image_id}: {reason}")
        for image_id, reason in self._loader.dropped[self._boxes :]:
            self._log.write("dropped_box", image_id=image_id, reason=reason)
        self._images, self._boxes = len(self._loader.skipped), len(self._loader.dropped)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
