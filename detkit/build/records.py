"""The first records of a run's log: what the run is made by, and what its data lacks."""

from typing import Dict, Mapping, Optional

from detkit.config import Config
from detkit.data.digest import digest_of
from detkit.data.sample import Dataset
from detkit.environment import SHOWN, changes, environment_of
from detkit.runner.log import RunLog
from detkit.typing import Context

ENVIRONMENT = "environment"


def begin_log(
    log: RunLog,
    config: Config,
    ctx: Context,
    train: Dataset,
    val: Dataset,
    left_out: Mapping[int, str],
    before: Optional[Mapping[str, str]],
) -> Dict[str, str]:
    """Writes the first records of a training; returns its environment.

    train, val: the images of ``data.train`` and ``data.val``. left_out: see Loader. before: the
    environment of the checkpoint that the run goes on from, or None.
    """
    environment = environment_of(config.project_root, ctx)
    for name, dataset in (("data.train", train), ("data.val", val)):
        environment[name] = digest_of(dataset)[:SHOWN]
    log_environment(log, environment, before)
    _log_faults(log, train, val, left_out)
    return environment


def log_environment(
    log: RunLog, environment: Mapping[str, str], before: Optional[Mapping[str, str]] = None
) -> None:
    """Writes the record of an environment if it is the first one of the log, or another one.

    before: the environment of the checkpoint that the run goes on from. A line says what has
    changed since.
    """
    if log.is_new or environment != before:
        log.write(ENVIRONMENT, **environment)
    if before is not None and environment != before:
        log.say(f"changed environment: {changes(before, environment)}")


def _log_faults(log: RunLog, train: Dataset, val: Dataset, left_out: Mapping[int, str]) -> None:
    """Writes a record of each box and image that is dropped, and of what ``data.filter`` does."""
    for image_id, reason in [*train.dropped, *val.dropped]:
        log.write("dropped_box", image_id=image_id, reason=reason)
    for image_id, reason in [*train.bad_images, *val.bad_images]:
        log.write("bad_image", image_id=image_id, reason=reason)
    for index, reason in left_out.items():
        log.write("left_out", image_id=train.annotation(index).image_id, reason=reason)
