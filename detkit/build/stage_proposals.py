"""The proposals that one stage of a training makes for another, and their recall."""

import os
from typing import Callable, Dict

import numpy as np

from detkit.build.data import build_dataset, build_loader
from detkit.build.training import Training
from detkit.config import Config
from detkit.data.loader import Loader
from detkit.data.one_class import OneClass
from detkit.detections import Detections
from detkit.detections.of_dataset import detect_dataset, no_detections
from detkit.detections.proposal_files import save_proposals
from detkit.evaluate import ProposalEvaluator
from detkit.files.disk import make_folder
from detkit.runner.interrupt import Interrupt
from detkit.runner.log import FaultLog, RunLog

SPLITS = ("train", "val")


def write_proposals(
    training: Callable[[], Training], folder: str, step: int, log: RunLog
) -> Dict[str, str]:
    """Returns {split: file} of the proposals of a stage; it writes those that are missing.

    training: a function that returns the stage's Training with its last weights. It is called only
        if a file is missing.
    folder, step: the folder of the stage, and the step of its last checkpoint, which the files are
        named after.

    The recall of what is written goes to ``log``. Raises Interrupted after a signal; the file that
    was under way is then made again in a resumed run.
    """
    folder = os.path.join(folder, "proposals")
    files = {split: os.path.join(folder, f"{split}-step-{step:08d}.npz") for split in SPLITS}
    missing = [split for split, path in files.items() if not os.path.isfile(path)]
    if missing:
        make_folder(folder)
        trained = training()
        for split in missing:
            _write(trained, split, files[split], log)
    return files


def ground_truth_as_proposals(config: Config, folder: str) -> Dict[str, str]:
    """Writes the objects of all images as proposals into ``folder``; returns {split: file}."""
    files = {}
    for split in SPLITS:
        dataset = OneClass(build_dataset(config, split))
        annotations = [dataset.annotation(index) for index in range(len(dataset))]
        objects = {
            one.image_id: Detections(
                one.boxes, np.ones(len(one.boxes), np.float32), one.labels, dataset.class_names
            )
            for one in annotations
        }
        files[split] = os.path.join(folder, f"{split}.npz")
        save_proposals(files[split], objects, dataset)
    return files


def _write(training: Training, split: str, path: str, log: RunLog) -> None:
    loader = _loader_of(training, split)
    dataset, faults = loader.dataset, FaultLog(log, loader)
    log.say(f"writing the proposals of {len(dataset)} images of data.{split}")
    with Interrupt() as interrupt:
        found = detect_dataset(training.detector, loader, interrupt)
    interrupt.check()
    faults.update()
    assert found is not None  # it is None only after a signal
    for index in range(len(dataset)):  # an image that cannot be read has none
        found.setdefault(dataset.annotation(index).image_id, no_detections(dataset.class_names))
    recall = ProposalEvaluator()(dataset, found)
    count = sum(len(one.boxes) for one in found.values())
    log.write("proposals", split=split, file=path, images=len(dataset), boxes=count, **recall)
    save_proposals(path, found, dataset)
    numbers = " ".join(f"{name} {value:.4f}" for name, value in recall.items())
    log.say(f"{path}: {count / len(dataset):.0f} boxes an image, {numbers}")


def _loader_of(training: Training, split: str) -> Loader:
    """Returns the Loader of all images of a split in their order, as the detector tests them."""
    if split == "val":
        return training.val_loader
    batch_size = training.options.batch_size
    return build_loader(training.config, split, training.train_set, batch_size)
