"""Compresses the layers of a trained detector: ``detkit compress``."""

import argparse
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from detkit import load
from detkit.build import build_dataset, build_evaluator, build_loader, open_config
from detkit.build.compress import Truncation, compressed, heads_of
from detkit.commands.sources import model_of
from detkit.config import Config, dump_config
from detkit.converters.run_folder import check_folder, write_run
from detkit.detector import Detector
from detkit.errors import CheckpointError
from detkit.plugins import copies_of
from detkit.typing import NDArray

ROIS = 1000  # for which the heads alone are timed
TIMES = 5


class Measured(NamedTuple):
    """The metrics of a detector on a dataset, and its times.

    metrics: {name: number}. detector, heads: medians in milliseconds of the whole detector for a
    batch, and of its heads for ROIS RoIs.
    """

    metrics: Dict[str, Any]
    detector: float
    heads: float


def main(args: argparse.Namespace) -> None:
    """Compresses, writes the folder of a run; with --split, evaluates before and after."""
    check_folder(args.out)
    args.config, args.checkpoint = model_of(args)
    config = open_config(args.config, args.overrides)
    detector = load(config, args.checkpoint)
    smaller, truncations = compressed(detector, dict(args.ranks))
    print(table_of(truncations))
    assert config.plugin_report is not None  # open_config sets it
    assert smaller.config is not None  # that of the detector
    plugins = copies_of(config.plugin_report.files)
    text = dump_config(smaller.config, plugins.listed)
    path, checkpoint = write_run(args.out, text, smaller.model, smaller.class_names, plugins)
    print(f"written: {path}, {checkpoint}")
    if args.split:
        print(comparison(*measured(config, args, [detector, smaller])))


def table_of(truncations: Sequence[Truncation]) -> str:
    """Returns a line for each layer: its sides, its rank, its weights before and after."""
    lines = [f"{'layer':20} {'sides':>14} {'rank':>6} {'weights, M':>18} {'squares kept':>13}"]
    for name, outputs, inputs, rank, kept in truncations:
        before, after = outputs * inputs / 1e6, rank * (outputs + inputs) / 1e6
        sides, change = f"{outputs} x {inputs}", f"{before:.2f} -> {after:.2f}"
        lines.append(f"{name:20} {sides:>14} {rank:6} {change:>18} {kept:13.2%}")
    return "\n".join(lines)


def measured(
    config: Config, args: argparse.Namespace, detectors: Sequence[Detector]
) -> List[Measured]:
    """Returns what each detector finds in a split of the data, and its times, taken in turns."""
    dataset = build_dataset(config, args.split)
    if tuple(dataset.class_names) != detectors[0].class_names:
        raise CheckpointError(
            f"{args.checkpoint}: expected the classes of data.{args.split}, "
            f"{list(dataset.class_names)}, in this order; found {list(detectors[0].class_names)}"
        )
    found: List[Dict[Any, Any]] = [{} for _ in detectors]
    seconds: List[List[float]] = [[] for _ in detectors]
    for batch in build_loader(config, args.split, dataset, args.batch_size).batches(epoch=0):
        for detector, own, times in zip(detectors, found, seconds):
            start = time.perf_counter()
            detections = detector.detect_batch(batch)
            times.append(time.perf_counter() - start)
            own.update(zip(batch.image_ids, detections))
    evaluate, heads = build_evaluator(config), head_seconds(detectors)
    return [
        Measured(evaluate(dataset, own), 1e3 * float(np.median(times)), 1e3 * head)
        for own, times, head in zip(found, seconds, heads)
    ]


def head_seconds(detectors: Sequence[Detector]) -> List[float]:
    """Returns the median seconds of the heads of each detector for ROIS RoIs, taken in turns."""
    calls = [list(head_calls(detector)) for detector in detectors]
    seconds: List[List[float]] = [[] for _ in detectors]
    for _ in range(1 + TIMES):
        for own, times in zip(calls, seconds):
            mx.nd.waitall()
            start = time.perf_counter()
            for head, features in own:
                head(features)
            mx.nd.waitall()
            times.append(time.perf_counter() - start)
    return [float(np.median(times[1:])) for times in seconds]  # the first run prepares


def head_calls(detector: Detector) -> Iterator[Tuple[HybridBlock, NDArray]]:
    """Yields each head of a detector and features (ROIS, inputs of its first layer) for it."""
    assert detector.config is not None  # load and compressed give it
    for _, head, _ in heads_of(detector.model, detector.config):
        weight = next(iter(head.collect_params().values())).data()
        yield head, mx.nd.ones((ROIS, weight.shape[1]), ctx=weight.context)


def comparison(before: Measured, after: Measured) -> str:
    """Returns a table of metrics in percent and times in milliseconds, before and after."""
    lines = [f"{'':24} {'before':>8} {'after':>8}"]
    for name, value in before.metrics.items():
        if name != "per_class":
            lines.append(f"{name:24} {100 * value:8.1f} {100 * after.metrics[name]:8.1f}")
    times = {"ms per batch": "detector", f"ms, heads of {ROIS} RoIs": "heads"}
    for label, field in times.items():
        lines.append(f"{label:24} {getattr(before, field):8.1f} {getattr(after, field):8.1f}")
    return "\n".join(lines)
