"""Trainings one after another in one work folder, joined into one detector at the end.

WORK_DIR/stages/NAME/     the folder of a run: config.yaml, log.jsonl, checkpoints/, ...
    proposals/            the stage's proposals, if a later stage takes them
    result.json           is written last: the stage has ended
WORK_DIR/checkpoints/     the joined detector, as any other run's
WORK_DIR/log.jsonl        the stages, the recall of their proposals, the joined detector
"""

import contextlib
import gc
import os
import tempfile
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from detkit.build.records import log_environment
from detkit.build.resume import ENDS, check_changes
from detkit.build.stage import Made, Stage
from detkit.build.stage_checks import check_networks, check_same_start, goes_on
from detkit.build.stage_proposals import ground_truth_as_proposals, write_proposals
from detkit.build.stages import joined, read_stages
from detkit.build.training import Training
from detkit.checkpoints import (
    FOLDER,
    Progress,
    load_checkpoint,
    numbered,
    read_last,
    read_state,
)
from detkit.config import Config, dump_config, place
from detkit.device import find_devices
from detkit.environment import environment_of
from detkit.errors import CheckpointError
from detkit.evaluate.metrics import save_metrics
from detkit.files.disk import make_folder
from detkit.plugins import copies_of
from detkit.runner.log import RunLog

STAGES, RESULT = "stages", "result.json"
Describe = Callable[[Training], Sequence[str]]


class StagedTraining:
    """The trainings that ``stages`` of a config describe, and the detector made of their parts.

    config: with ``stages`` as a list. plugin_files: as of a Training.
    describe: a function from a Training to lines about it, which refuses data that cannot be
        trained on; it is called before the first step of each stage.

    Raises ConfigError if a stage is wrong in itself. The network of each stage is built to find
    that out before the first one is trained.
    """

    def __init__(self, config: Config, plugin_files: Sequence[str], describe: Describe) -> None:
        self._config, self._plugin_files, self._describe = config, plugin_files, describe
        self._plugins = copies_of(plugin_files)
        self.stages = read_stages(config)
        parts = check_networks(config, self.stages)
        self._joined = joined(config, self.stages, parts)

    def summary(self) -> List[str]:
        """Returns a line for each stage."""
        return [
            f"stage    {number} of {len(self.stages)}: {stage}"
            for number, stage in enumerate(self.stages, start=1)
        ]

    def dry_run(self) -> str:
        """Makes a training step and evaluates a batch in each stage; returns lines about them.

        No stage is trained. Each begins with weights of its own, and instead of the proposals of
        another stage it gets the objects.
        """
        lines: List[str] = []
        with tempfile.TemporaryDirectory() as folder:
            files = ground_truth_as_proposals(self._config, folder)
            for stage in self.stages:
                config = stage.placed({each.name: Made(None, files) for each in self.stages})
                gc.collect()
                training = Training(config, self._plugin_files)
                lines += [*self._describe(training), f"{stage.name}: {training.dry_run()}"]
        return "\n".join(lines)

    def train(
        self, work_dir: str, resume: Optional[str] = None, force: bool = False
    ) -> Optional[Dict[str, Any]]:
        """Trains all stages and joins their parts; returns the result of the joined detector.

        resume: None for a new run, or "auto", which goes on where the run was stopped: in a stage,
            in the writing of proposals, or in the join. force: see Training.runner.

        A process that shares the folder with others holds detkit.files.lock.locked. Raises
        CheckpointError if the folder holds another run, or does not fit the config.
        """
        self._check_folder(work_dir, resume)
        make_folder(work_dir)
        log = RunLog(work_dir, total=0)
        if log.is_new:
            device = find_devices(self.stages[0].config["train"].get("device", "auto"))[0]
            log_environment(log, environment_of(self._config.project_root, device))
        made: Dict[str, Made] = {}
        for stage, line in zip(self.stages, self.summary()):
            log.say(line)
            made[stage.name] = self._make(stage, work_dir, made, force, log)
            gc.collect()  # the network of a stage is made of circles
        return self._join(work_dir, made, force)

    def _make(
        self, stage: Stage, work_dir: str, made: Mapping[str, Made], force: bool, log: RunLog
    ) -> Made:
        """Trains a stage, as far as it has not been trained, and writes its proposals."""
        folder, config = _folder(work_dir, stage), stage.placed(made)
        check_same_start(folder, config)
        trained: List[Training] = []

        def training() -> Training:
            """Returns the stage's Training with its last weights, which is made only once."""
            if not trained:
                trained.append(Training(config, self._plugin_files))
                trained[0].runner(folder, "auto", force)
            return trained[0]

        if not self._has_ended(stage, work_dir, config, force):
            log.write("stage", name=stage.name, state="begins")
            trained.append(self._run(folder, config, force, log))
            log.write("stage", name=stage.name, state="ends")
        last = read_last(os.path.join(folder, FOLDER))
        assert last is not None  # a training that has ended has saved its end
        takers = [other for other in self.stages if other.proposals == stage.name]
        files = write_proposals(training, folder, last.step, log) if takers else {}
        return Made(last.path, files)

    def _run(self, folder: str, config: Config, force: bool, log: RunLog) -> Training:
        """Trains a stage to its end."""
        training = Training(config, self._plugin_files)
        log.say("\n".join(self._describe(training)))
        runner = training.runner(folder, "auto", force)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, RESULT))
        runner.run()
        save_metrics(folder, runner.result or {}, RESULT)
        return training

    def _has_ended(self, stage: Stage, work_dir: str, config: Config, force: bool) -> bool:
        """Returns whether a stage was trained to its end.

        Raises CheckpointError for a change of its config that is not accepted. Such a change is a
        greater length, if a later stage has begun or the stages were joined.
        """
        folder = _folder(work_dir, stage)
        last = read_last(os.path.join(folder, FOLDER))
        if last is None or not os.path.isfile(os.path.join(folder, RESULT)):
            return False
        try:
            end = load_checkpoint(last.path)
        except CheckpointError:
            return False  # the run goes on from the checkpoint before, and says why
        text = dump_config(config, self._plugins.listed)
        changes = check_changes(last.path, text, self._plugins, force)
        longer = [change.text for change in changes if change.key in ENDS]
        if not longer or not goes_on(config, end):
            return True
        later = self.stages[self.stages.index(stage) + 1 :]
        if _is_joined(work_dir) or any(_begun(work_dir, other) for other in later):
            raise CheckpointError(
                f"{folder}: expected the length of a stage that later stages began from, or the "
                f"joined detector was made of, found {longer[0]}; undo the change, or begin "
                "another run with --work-dir DIR"
            )
        return False

    def _join(
        self, work_dir: str, made: Mapping[str, Made], force: bool
    ) -> Optional[Dict[str, Any]]:
        """Saves and evaluates the joined detector as the end of a training of no steps."""
        paths = [each.checkpoint for each in made.values() if each.checkpoint is not None]
        ends = [Progress(**read_state(path)["progress"]) for path in paths]
        steps, epochs = sum(end.step for end in ends), max(sum(end.epoch for end in ends), 1)
        config = self._joined.placed(made)
        config["train"].put("epochs", epochs, place(self._config, "stages"))
        whole = dump_config(self._config, self._plugins.listed)
        training = Training(config, self._plugin_files, config_text=whole)
        runner = training.runner(work_dir, "auto", force)
        if runner.progress == Progress():
            runner.progress = Progress(steps, epochs)
        if runner.progress != Progress(steps, epochs):  # it would train the joined detector
            raise CheckpointError(
                f"{work_dir}: expected the detector of stages of {steps} steps in all, found one "
                f"of {runner.progress.step}; move its {FOLDER} away, and --resume auto joins the "
                "stages again"
            )
        runner.run()
        return runner.result

    def _check_folder(self, work_dir: str, resume: Optional[str]) -> None:
        """Raises CheckpointError unless the folder is new, or holds this run and is resumed."""
        begun = [stage.name for stage in self.stages if _begun(work_dir, stage)]
        whole = _is_joined(work_dir)
        if resume not in (None, "auto"):
            raise CheckpointError(
                f"--resume {resume}: expected auto, which finds the stage that a run of several "
                "was stopped in, found a path"
            )
        if resume is None and (begun or whole):
            raise CheckpointError(
                f"{work_dir}: expected a folder without a run, found "
                f"{'the stages ' * bool(begun)}{', '.join(begun) or 'checkpoints'}; --resume auto "
                "continues the run, --work-dir DIR starts another one elsewhere"
            )
        if whole and len(begun) < len(self.stages):
            raise CheckpointError(
                f"{work_dir}: expected the run that the config describes, found the checkpoints of "
                "one without these stages; use the config of that run, or another --work-dir DIR"
            )


def _folder(work_dir: str, stage: Stage) -> str:
    return os.path.join(work_dir, STAGES, stage.name)


def _begun(work_dir: str, stage: Stage) -> bool:
    return bool(numbered(os.path.join(_folder(work_dir, stage), FOLDER)))


def _is_joined(work_dir: str) -> bool:
    return bool(numbered(os.path.join(work_dir, FOLDER)))
