"""The base of the hooks that send a run's numbers and pictures to a service."""

import importlib
import json
import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

from detkit.checkpoints import CONFIG
from detkit.config.yaml import read_yaml
from detkit.errors import ConfigError
from detkit.files.disk import whole_file
from detkit.files.run_log import LOG, numbers_of, read_records
from detkit.runner.loop import Runner
from detkit.wording import install

KEPT = "trackers.json"  # in a run's folder: {key of a tracker: {"id": text, "sent": bytes}}
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"  # how a process of a run ends

logger = logging.getLogger(__name__)


class About(NamedTuple):
    """The description of a run for a service.

    name, folder: the name of the run, and the path of its folder. config: as ``flat`` returns it.
    id: the id that ``open`` returned in an earlier process of the run, or None. step: the step
    after which this process begins.
    """

    name: str
    folder: str
    config: Dict[str, Any]
    id: Optional[str]
    step: int


class Tracker(ABC):
    """A hook that sends a service what is new in the log.jsonl of a run, and its pictures.

    A derived class calls the client of its service in ``open``, ``numbers``, ``picture`` and
    ``end``. The numbers have the names of ``detkit.files.run_log.numbers_of``.

    If the service fails, a warning says so once, and the training goes on. The next evaluation
    tries again, and begins with the first record that was not sent.

    The file ``trackers.json`` in the run's folder has the id of the service's run and how much of
    the log was sent. A resumed run continues with both.

    where: the place in the service, such as its project, which tells two hooks of a type apart.
    name: the name of the run in the service; None: that of its folder.
    """

    def __init__(self, where: str, name: Optional[str] = None):
        self._key = f"{type(self).__name__} {where}".strip()
        self._name = name
        self._id: Optional[str] = None  # of the service's run, which is then open
        self._sent = 0  # bytes of the log
        self._failing = self._warned = False

    def start(self, run: Runner) -> None:
        """Opens the service's run, and sends the records that are not there yet."""
        self._attempt(self._send, run)

    def after_step(self, run: Runner) -> None:
        """Sends new records, unless the service has failed since the last evaluation."""
        if not self._failing:
            self._attempt(self._send, run)

    def after_epoch(self, run: Runner) -> None:
        """Does the same as after a step."""
        self.after_step(run)

    def evaluate(self, run: Runner) -> None:
        """Sends the records and the picture of an evaluation."""
        if self._attempt(self._send, run):
            self._attempt(self._keep, run.work_dir)
            if run.picture is not None:
                self._attempt(self.picture, run.picture, run.progress.step)

    def finish(self, run: Runner) -> None:
        """Sends the last records."""
        self._attempt(self._send, run)

    def close(self, run: Runner) -> None:
        """Tells the service how the run ended, and closes its run."""
        if self._id is None:
            return
        status = FINISHED if run.failure is None else FAILED
        if run.interrupt.signal is not None:
            status = STOPPED
        self._attempt(self._keep, run.work_dir)
        self._attempt(self.end, status)

    def _attempt(self, function: Callable[..., Any], *arguments: Any) -> bool:
        """Calls a function, which may be the service's; returns whether it succeeded."""
        try:
            function(*arguments)
        except Exception as error:
            self._failing = True
            if not self._warned:
                self._warned = True
                logger.warning(
                    "%s: %s: %s; the training goes on, and each evaluation tries to send again",
                    self._key,
                    type(error).__name__,
                    error,
                )
            return False
        self._failing = False
        return True

    def _send(self, run: Runner) -> None:
        if self._id is None:
            self._open(run)
        for record, end in read_records(Path(run.work_dir, LOG), self._sent):
            numbers = numbers_of(record)
            if numbers:
                self.numbers(numbers, record["step"])
            self._sent = end

    def _open(self, run: Runner) -> None:
        folder = Path(run.work_dir)
        known, sent = _entry(_read_kept(folder).get(self._key))
        self._sent = sent if sent <= (folder / LOG).stat().st_size else 0  # not another log's
        name, config = self._name or folder.resolve().name, flat(read_yaml(folder / CONFIG))
        self._id = self.open(About(name, run.work_dir, config, known, run.progress.step))
        self._keep(run.work_dir)

    def _keep(self, work_dir: str) -> None:
        kept = {**_read_kept(Path(work_dir)), self._key: {"id": self._id, "sent": self._sent}}
        with whole_file(Path(work_dir, KEPT)) as part:
            part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")

    @abstractmethod
    def open(self, about: About) -> str:
        """Opens a new run of the service and sends the config, or opens the run ``about.id``.

        Returns the id of the service's run.
        """

    @abstractmethod
    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Sends {name: number} of a step."""

    @abstractmethod
    def picture(self, path: str, step: int) -> None:
        """Sends the PNG with the detections of a step's evaluation."""

    @abstractmethod
    def end(self, status: str) -> None:
        """Closes the service's run with one of FINISHED, STOPPED and FAILED."""


def client(module: str, extra: str) -> Any:
    """Returns an imported module. Raises ConfigError, which says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"train.hooks: expected the module {module!r}, found that it cannot be imported "
            f"({error}); {install(extra)}"
        ) from error


def flat(value: Any, key: str = "") -> Dict[str, Any]:
    """Returns {dotted key: value} of a config: texts, numbers, bools and None.

    A list without a mapping in it is the text of its JSON.
    """
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = {str(index): item for index, item in enumerate(value)}.items()
    else:
        return {key: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value}
    found: Dict[str, Any] = {}
    for name, item in items:
        found.update(flat(item, f"{key}.{name}" if key else str(name)))
    return found


def _read_kept(folder: Path) -> Dict[str, Any]:
    """Returns the content of ``trackers.json``; {} if it is missing or damaged."""
    try:
        kept = json.loads((folder / KEPT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _entry(value: Any) -> Tuple[Optional[str], int]:
    """Returns the id and the bytes that were sent; None and 0 if there are none."""
    entry = value if isinstance(value, dict) else {}
    known, sent = entry.get("id"), entry.get("sent")
    if not isinstance(known, str) or type(sent) is not int or sent < 0:
        return None, 0
    return known, sent
