"""A config -> a Runner: data, model, optimizer and hooks, built and connected."""

import os
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from detkit.build.data import build_cache, build_dataset, build_evaluator, build_loader
from detkit.build.load import detector_for, load_model_weights
from detkit.build.model import build_model, choose_operators
from detkit.build.precision import use_precision
from detkit.build.records import begin_log
from detkit.build.resume import Change, check_changes, find_resumed
from detkit.build.sections import check_norms, check_parts, check_sections, devices_of, seed_of
from detkit.build.start import check_start, start
from detkit.build.train_step import build_train_step
from detkit.checkpoints import (
    CONFIG,
    FOLDER,
    Branch,
    Checkpoint,
    Origin,
    new_branch,
    point_last_to,
)
from detkit.config import Config, dump_config, place, require
from detkit.construct import construct
from detkit.data.sample import Dataset
from detkit.errors import CheckpointError, ConfigError
from detkit.files.disk import make_folder, whole_file
from detkit.memory import bound_arenas
from detkit.plugins import copies_of, write_copies
from detkit.registry import HOOKS, SCHEDULES
from detkit.runner.average import Average
from detkit.runner.curves import CurvesHook
from detkit.runner.devices import Devices
from detkit.runner.freezing import FreezeHook, Freezing
from detkit.runner.hooks import PatienceHook, ScheduleHook, StopHook, TimeHook
from detkit.runner.intervals import read_interval
from detkit.runner.log import RunLog
from detkit.runner.loop import Runner
from detkit.runner.optimizer import Optimizer
from detkit.runner.options import TrainOptions
from detkit.runner.report_hooks import LogHook, VisualizeHook
from detkit.runner.result_hooks import CheckpointHook, EvaluateHook
from detkit.runner.seed import seed_run
from detkit.runner.time_budget import TimeBudget, WhileTimeIsLeft
from detkit.runner.val_loss import ValidationLoss
from detkit.threshold import parse_rule
from detkit.typing import Context


class Training:
    """All objects that a config describes; the Runner is built on demand.

    config: the Config. Its ``stages`` are for StagedTraining; here all parts are trained together.
    plugin_files: the absolute paths of the plugins that it used, which are copied into the run.
    config_text: the config in the run's folder, if it is another than ``config``.

    Its attributes are what a run consists of:

    config, config_text, plugins, seed, options: the config, its resolved YAML, the Copies of its
        plugins, its sections ``seed`` and ``train``.
    class_names, train_set, val_set, loader, val_loader, cache: the data, its ImageCache or None.
    val_loss: the ValidationLoss, or None.
    devices, ctx, precision: the Devices, the first of them, "fp32" or "bf16".
    model, train_step: the network that is trained and its training step.
    average, evaluated, detector: the Average of its weights, or None; the network that is evaluated
        and saved, whose weights are the averages if there are any; the Detector around it.
    optimizer, freezing, schedule, evaluator, hooks: the Optimizer, the frozen parts, a function
        from a Position to a factor, a function from dataset and detections to metrics, the hooks of
        the config.
    length: the Interval after which the run ends, or a TimeBudget.
    evaluate_every, checkpoint_every: Intervals.

    Raises ConfigError, DataError or WeightsError for an error in config, data or weights.
    """

    def __init__(
        self,
        config: Config,
        plugin_files: Sequence[str] = (),
        config_text: Optional[str] = None,
    ):
        bound_arenas()
        check_sections(config)
        check_parts(config)
        check_norms(config["model"])
        self.config = config
        self.plugins = copies_of(plugin_files)
        self.config_text = config_text or dump_config(config, self.plugins.listed)
        self.seed = seed_of(config)
        seed_run(self.seed)
        self.options: TrainOptions = construct(TrainOptions, require(config, "train", dict))
        self.length = self.options.length
        self.evaluate_every = read_interval(self.options.evaluate_every)
        self.checkpoint_every = read_interval(self.options.checkpoint_every)
        self.hooks = [HOOKS.build(node) for node in self.options.hooks]
        self.schedule = SCHEDULES.build(self.options.schedule)
        self.evaluator = build_evaluator(config)
        self.train_set, self.val_set = (build_dataset(config, split) for split in ("train", "val"))
        self.class_names = _common_classes(config, self.train_set, self.val_set)
        self.devices = Devices(devices_of(config, self.options), self.seed)
        choose_operators(config, self.ctx)
        self.model = build_model(config, self.class_names, self.devices.contexts)
        check_start(self.model, config["train"])
        self.precision = use_precision(config, self.model, self.options.precision)
        self.train_step = build_train_step(config, self.model, len(self.class_names))
        self.average = self._build_average()
        self.evaluated = self.average.network if self.average else self.model
        self.optimizer = Optimizer(self.model, self.options, self.average)
        size, inputs = self.options.batch_size, self.train_step.INPUTS
        self.cache = cache = build_cache(config)
        self.loader = build_loader(config, "train", self.train_set, size, inputs, cache=cache)
        self.val_loader = build_loader(config, "val", self.val_set, size, cache=cache)
        self.freezing = self._build_freezing()
        self.detector = detector_for(config, self.evaluated, self.class_names, self.ctx)
        self.val_loss = self._build_val_loss()

    @property
    def ctx(self) -> Context:
        """The first device, which evaluates."""
        return self.devices.contexts[0]

    def _build_average(self) -> Optional[Average]:
        if not self.options.ema:
            return None
        averaged = build_model(self.config, self.class_names, self.ctx, pretrained=False)
        use_precision(self.config, averaged, self.options.precision)
        return Average(self.model, averaged, self.options.ema)

    def _build_freezing(self) -> Freezing:
        per_epoch = max(len(self.loader), 1)  # the preflight refuses a dataset without an image
        return Freezing(self.model, self.options.freeze, self.options.accumulate, per_epoch)

    def _build_val_loss(self) -> Optional[ValidationLoss]:
        if not self.options.val_loss:
            return None
        step = build_train_step(self.config, self.evaluated, len(self.class_names))
        options = self.options.batch_size, self.train_step.INPUTS
        loader = build_loader(self.config, "val", self.val_set, *options, cache=self.cache)
        return ValidationLoss(step, loader, self.ctx, self.seed)

    def runner(self, work_dir: str, resume: Optional[str] = None, force: bool = False) -> Runner:
        """Returns the Runner of this training in ``work_dir``.

        resume: None for a new run, "auto" for the last checkpoint of the folder if there is one,
            or a checkpoint's folder.
        force: whether a resumed run may change in the config what the training means.

        A process that shares the folder with others holds detkit.files.lock.locked before the call
        and until the run has ended. Raises CheckpointError if the folder holds another run, or if
        the checkpoint does not fit; the folder is then as it was.
        """
        resumed = find_resumed(work_dir, resume)
        checkpoint = resumed.checkpoint if resumed else None
        changes = self._restore(checkpoint, force) if checkpoint else []
        folder = os.path.join(work_dir, FOLDER)
        for each in (work_dir, folder):
            make_folder(each)
        write_copies(work_dir, self.plugins)
        with whole_file(Path(work_dir, CONFIG)) as part:
            part.write_text(self.config_text, encoding="utf-8")
        branch = resumed.branch if resumed else new_branch()
        done = checkpoint.progress.step if checkpoint else 0
        log = RunLog(work_dir, self.length.total_steps(len(self.loader)), done)
        before = checkpoint.environment if checkpoint else None
        images = (self.train_set, self.val_set, self.loader.left_out)
        environment = begin_log(log, self.config, self.ctx, *images, before)
        origin = Origin(self.config_text, self.plugins.files, environment)
        runner = self._runner(work_dir, self._hooks(work_dir, log, branch, origin))
        if checkpoint:
            runner.restore(checkpoint)
            point_last_to(folder, checkpoint.path, done, branch)
            log.say(f"resuming from {checkpoint.path}, step {done}")
            for change in changes:
                log.write("changed_config", step=done, change=change.text)
                log.say(f"changed config: {change.text}")
        elif self.options.start_from:
            log.say(self._start())
        return runner

    def train(
        self, work_dir: str, resume: Optional[str] = None, force: bool = False
    ) -> Optional[Dict[str, Any]]:
        """Trains to the end; returns the ``result`` of the Runner, None without an evaluation.

        The arguments and errors are those of ``runner``, and the errors those of Runner.run.
        """
        runner = self.runner(work_dir, resume, force)
        runner.run()
        return runner.result

    def dry_run(self) -> str:
        """Makes one training step and evaluates one batch; returns lines about them."""
        lines = [self._start()] if self.options.start_from else []
        with tempfile.TemporaryDirectory() as folder:
            runner = self._runner(folder, hooks=[])
            runner.step(next(self.loader.batches(epoch=0)))
            losses = runner.losses.read()
        batch = next(self.val_loader.batches(epoch=0))
        detections = dict(zip(batch.image_ids, self.detector.detect_batch(batch)))
        self.evaluator(self.val_set, detections)
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
        lines.append(f"dry run: one step ({numbers}) and one evaluation batch succeeded")
        return "\n".join(lines)

    def _start(self) -> str:
        """Takes the weights that ``train.start_from`` names; returns a line about them."""
        line = start(self.model, self.config["train"])
        if self.average:
            self.average.begin()
        return line

    def _runner(self, work_dir: str, hooks: Iterable[object]) -> Runner:
        every, length = self.evaluate_every, self.length
        rarer = WhileTimeIsLeft(every, length) if isinstance(length, TimeBudget) else every
        return Runner(
            self.train_step,
            self.loader,
            self.optimizer,
            hooks,
            length=length,
            devices=self.devices,
            work_dir=work_dir,
            evaluate_every=rarer,
        )

    def _hooks(self, work_dir: str, log: RunLog, branch: Branch, origin: Origin) -> List[object]:
        options = self.options
        rule = parse_rule(options.threshold) if options.threshold else None
        judged = self.evaluator, self.val_loss, rule
        evaluate = EvaluateHook(log, self.detector, self.val_loader, *judged)
        length, pictures = self.length, os.path.join(work_dir, "pictures")
        return [
            *([TimeHook(length, evaluate.estimate)] if isinstance(length, TimeBudget) else ()),
            ScheduleHook(options.lr, self.schedule, options.accumulate),
            FreezeHook(log, self.freezing),
            LogHook(log, self.loader, options.log_every),
            evaluate,
            CheckpointHook(
                log,
                os.path.join(work_dir, FOLDER),
                branch,
                self.evaluated,
                self.optimizer,
                self.class_names,
                origin,
                self.checkpoint_every,
                options.keep,
                getattr(self.evaluator, "main", "AP50"),
            ),
            VisualizeHook(pictures, self.val_set, options.pictures, options.batch_pictures),
            CurvesHook(work_dir),
            *self.hooks,
            *([PatienceHook(log, options.patience)] if options.patience else ()),
            StopHook(),
        ]

    def _restore(self, checkpoint: Checkpoint, force: bool) -> List[Change]:
        """Puts a checkpoint into model and optimizer; returns the changes of the config."""
        untrained = checkpoint.progress.step == 0  # a converter's: every training may begin there
        accepted = force or untrained
        changes = check_changes(checkpoint.path, self.config_text, self.plugins, accepted)
        if checkpoint.class_names != self.class_names:
            raise CheckpointError(
                f"{checkpoint.path}: expected the classes of data.train, {list(self.class_names)}, "
                f"found {list(checkpoint.class_names)}; names and order must agree"
            )
        load_model_weights(self.model, checkpoint)
        if self.average:
            self.average.begin()  # its optimizer's state has the weights that the averages are of
        self.freezing.resume(checkpoint.progress)
        try:
            self.optimizer.load_state(checkpoint.optimizer)
        except CheckpointError as error:
            raise CheckpointError(f"{checkpoint.path}: {error}") from error
        return changes


def _common_classes(config: Config, train: Dataset, val: Dataset) -> Tuple[str, ...]:
    names, others = tuple(train.class_names), tuple(val.class_names)
    if others != names:
        raise ConfigError(
            f"{place(config['data'], 'val')}: expected the classes of data.train, {list(names)}, "
            f"found {list(others)}; give both the same names in the same order"
        )
    return names
