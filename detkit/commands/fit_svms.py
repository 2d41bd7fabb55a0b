"""Fits an R-CNN's SVMs and box regressors: ``detkit fit-svms``."""

import argparse
import sys
from typing import Any, Dict, List

from detkit import load
from detkit.build import build_dataset, build_loader, open_config
from detkit.config import Config, dump_config, place, to_plain
from detkit.converters.run_folder import check_folder, write_run
from detkit.detector import Detector
from detkit.device import find_device
from detkit.errors import CheckpointError, ConfigError, DataError
from detkit.fitting import FitOptions, Fitted, SVMOptions, fit_head, require_solver
from detkit.models import RCNN, Postprocess
from detkit.models.postprocess import SVM
from detkit.models.roi_heads import RCNNHead
from detkit.plugins import copies_of


def main(args: argparse.Namespace) -> None:
    """Fits, writes the folder, prints the examples of each class and the commands that use it."""
    config = open_config(args.config, args.overrides)
    check_folder(args.out)
    require_solver()
    detector = load(config, args.checkpoint)
    check_head(detector, config)
    dataset = build_dataset(config, "train")
    if tuple(dataset.class_names) != detector.class_names:
        raise CheckpointError(
            f"{args.checkpoint}: expected the classes of data.train, {list(dataset.class_names)}, "
            f"in this order; found {list(detector.class_names)}"
        )
    loader = build_loader(config, "train", dataset, batch_size=1)
    svm = SVMOptions(c=args.svm_c, seed=config.get("seed", 0))
    options = FitOptions(args.passes, args.pairs, args.ridge, svm)
    ctx = find_device("auto")  # of the detector
    try:
        fitted = fit_head(detector.model, loader, detector.class_names, ctx, options)
    except DataError as error:
        raise DataError(f"{place(config['data'], 'train')}: {error}") from error
    for image_id, reason in loader.skipped.items():
        print(f"skipped {image_id}: {reason}", file=sys.stderr)
    print(table(fitted))
    assert config.plugin_report is not None  # open_config sets it
    plugins = copies_of(config.plugin_report.files)
    text = dump_config(without_training(config), plugins.listed)
    written, checkpoint = write_run(args.out, text, detector.model, detector.class_names, plugins)
    print(f"written: {written}, {checkpoint}")
    print(f"test:    detkit test {written} {checkpoint}")


def check_head(detector: Detector, config: Config) -> None:
    """Raises ConfigError unless the detector is an RCNN with an RCNNHead and a Postprocess."""
    model = detector.model
    if not isinstance(model, RCNN) or not isinstance(model.roi_head, RCNNHead):
        head = type(getattr(model, "roi_head", None)).__name__
        raise ConfigError(
            f"{place(config['model'], 'type')}: expected an RCNN with an RCNNHead, whose layers "
            f"are fitted, found {detector.name} with the roi_head {head}"
        )
    if not isinstance(model.postprocess, Postprocess):
        raise ConfigError(
            f"{place(config['model'], 'postprocess')}: expected a Postprocess, whose scores can be "
            f"those of SVMs, found {type(model.postprocess).__name__}"
        )


def without_training(config: Config) -> Dict[str, Any]:
    """Returns the config of the fitted detector, which no training step can train."""
    values = to_plain(config)
    values.pop("train_step", None)
    values["model"]["postprocess"] = {**(values["model"].get("postprocess") or {}), "scores": SVM}
    return values


def table(fitted: List[Fitted]) -> str:
    """Returns a line for each class, with the numbers of its examples."""
    width = max(5, *(len(each.name) for each in fitted))
    rows = [f"{'class':{width}}  objects  negatives  pairs"]
    rows += [
        f"{each.name:{width}}  {each.objects:7}  {each.negatives:9}  {each.pairs:5}"
        for each in fitted
    ]
    return "\n".join(rows)
