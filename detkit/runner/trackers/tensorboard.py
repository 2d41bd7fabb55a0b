"""TensorBoard: files of events in the folder of a run."""

import os
from typing import Mapping, Optional

import cv2

from detkit.registry import HOOKS
from detkit.runner.trackers.tracker import About, Tracker, client


@HOOKS.register()
class TensorBoard(Tracker):
    """The hook that writes a run's numbers and pictures as events of TensorBoard.

    folder: the folder of the events; null: ``tensorboard`` in the run's folder. Show it by
        ``tensorboard --logdir work_dirs``.
    """

    def __init__(self, folder: Optional[str] = None):
        super().__init__(folder or "")
        self._folder = folder
        self._client = client("tensorboardX", "tensorboard")

    def open(self, about: About) -> str:
        """Opens a file of events; what an earlier process wrote of later steps is hidden."""
        folder = self._folder or os.path.join(about.folder, "tensorboard")
        purge = None if about.id is None else about.step + 1
        self._writer = self._client.SummaryWriter(folder, purge_step=purge)
        if about.id is None:
            rows = "\n".join(f"| {key} | {value} |" for key, value in about.config.items())
            self._writer.add_text("config", f"| key | value |\n|---|---|\n{rows}", about.step)
        return "tensorboard"

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Writes an event for each number."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, path: str, step: int) -> None:
        """Writes the pixels of a picture."""
        pixels = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        self._writer.add_image("detections", pixels, step, dataformats="HWC")
        self._writer.flush()

    def end(self, status: str) -> None:
        """Writes the status as a text, and closes the file."""
        self._writer.add_text("status", status)
        self._writer.close()
