"""Fits an R-CNN's linear SVMs and box regressors on the features of a trained checkpoint.

The SVMs and regressors become the last layers of the network, in a config and a checkpoint of their
own, which the other tools test, draw and export like any other.
"""

import argparse
import sys
from typing import Any, Dict, List, Optional, Sequence

from detkit import load
from detkit.build import build_dataset, build_loader, open_config
from detkit.cli import common_arguments, positive, run
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

DEFAULTS = FitOptions()


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fits, writes the folder, prints the examples of each class and the commands that use it."""
    args = parsed(argv)
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
    plugins = copies_of(config.plugin_report.files)
    text = dump_config(without_training(config), plugins.listed)
    written, checkpoint = write_run(args.out, text, detector.model, detector.class_names, plugins)
    print(f"written: {written}, {checkpoint}")
    print(f"test:    python tools/test.py {written} {checkpoint}")


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the folder of a checkpoint")
    parser.add_argument("--out", metavar="DIR", required=True, help="a new folder")
    parser.add_argument(
        "--passes",
        type=positive,
        default=DEFAULTS.passes,
        help="passes over the images in search of hard negatives (default: %(default)s)",
    )
    parser.add_argument(
        "--svm-c",
        type=above_zero,
        default=DEFAULTS.svm.c,
        metavar="C",
        help="the weight of the SVMs' losses (default: %(default)s)",
    )
    parser.add_argument(
        "--ridge",
        type=above_zero,
        default=DEFAULTS.penalty,
        metavar="LAMBDA",
        help="the penalty of the box regressors (default: %(default)s)",
    )
    parser.add_argument(
        "--pairs",
        type=positive,
        default=DEFAULTS.pairs,
        metavar="N",
        help="pairs of a proposal and an object that a class's regressor is fitted on, at most "
        "(default: %(default)s); each takes memory for the features of a region",
    )
    return parser.parse_args(argv)


def above_zero(text: str) -> float:
    """Parses an argument that is a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return number


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


if __name__ == "__main__":
    sys.exit(run(main))
