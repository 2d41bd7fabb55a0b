"""The first records of a run's log: what the run is made by, and what its data lacks."""

from typing import Dict, Mapping, Optional, Sequence

from detkit.config import Config
from detkit.data.digest import digest_of
from detkit.data.loader import Loader
from detkit.data.sample import Dataset
from detkit.environment import SHOWN, changes, environment_of
from detkit.runner.log import RunLog
from detkit.typing import Context

ENVIRONMENT = "environment"


def describe_run(
    config: Config, ctx: Context, train: Optional[Dataset] = None, val: Optional[Dataset] = None
) -> Dict[str, str]:
    """Returns the environment of a run, with the digests of its datasets if they are given."""
    named = {"data.train": train, "data.val": val}
    digests = {name: digest_of(data)[:SHOWN] for name, data in named.items() if data is not None}
    return {**environment_of(config.project_root, ctx), **digests}


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


def log_faults(log: RunLog, loader: Loader, datasets: Sequence[Dataset]) -> None:
    """Writes a record of each box and image that datasets dropped or that ``data.filter`` did.

    loader: the Loader of the training images, which are those of the first dataset.
    """
    for dataset in datasets:
        for image_id, reason in dataset.dropped:
            log.write("dropped_box", image_id=image_id, reason=reason)
    for dataset in datasets:
        for image_id, reason in dataset.bad_images:
            log.write("bad_image", image_id=image_id, reason=reason)
    for index, reason in loader.left_out.items():
        log.write("left_out", image_id=datasets[0].annotation(index).image_id, reason=reason)
