"""Trains a detector: ``detkit train``."""

import argparse
import contextlib
import os
import sys
import tempfile
from typing import Union

from detkit.build import open_config
from detkit.build.staged import StagedTraining
from detkit.build.training import Training
from detkit.commands import fine_tune
from detkit.config import Config
from detkit.evaluate import format_table
from detkit.evaluate.metrics import save_metrics
from detkit.files.disk import make_folder
from detkit.files.lock import locked
from detkit.preflight import preflight
from detkit.runner.text_log import TextLog


def main(args: argparse.Namespace) -> None:
    """Checks config and data, then takes a dry run, or trains to the end."""
    with contextlib.ExitStack() as until_the_end:
        work_dir = args.work_dir or os.path.join("work_dirs", fine_tune.name_of(args))
        place = work_dir
        if args.dry_run:  # it leaves no files
            place = until_the_end.enter_context(tempfile.TemporaryDirectory())
        path, overrides = fine_tune.config_of(args, place)
        _train(args, open_config(path, overrides), work_dir)


def _train(args: argparse.Namespace, config: Config, work_dir: str) -> None:
    assert config.plugin_report is not None  # open_config sets it
    for failure in config.plugin_report.failures:
        print(f"warning: a plugin cannot be used: {failure}", file=sys.stderr)
    training: Union[Training, StagedTraining]
    if config.get("stages") is None:
        training = Training(config, config.plugin_report.files)
        lines = "\n".join(preflight(training))
        print(lines, flush=True)
    else:
        training = StagedTraining(config, config.plugin_report.files, describe=preflight)
        lines = ""
    if args.dry_run:
        print(training.dry_run())
        return
    make_folder(work_dir)
    with locked(work_dir):
        if isinstance(training, Training):
            runner = training.runner(work_dir, args.resume, args.force)
            TextLog(work_dir).write(lines)  # not before the run accepts the folder
            runner.run()
            result = runner.result
        else:
            result = training.train(work_dir, args.resume, args.force)
        if result is None:
            _tell("stopped before an evaluation; detkit test evaluates a checkpoint", work_dir)
            return
        written = save_metrics(work_dir, result)
        _tell(f"{format_table(result)}\nwritten: {written}", work_dir)


def _tell(text: str, work_dir: str) -> None:
    TextLog(work_dir).write(text)
    # The terminal may have been closed during the training, which is no failure of it.
    with contextlib.suppress(OSError):
        print(text, flush=True)
