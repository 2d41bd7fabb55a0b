"""The judgement of a trained system of tools/lineage.py: its metrics, its proposals, its time."""

import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

import detkit
from detkit.build import build_dataset, build_evaluator, build_loader, open_config
from detkit.data.loader import Loader
from detkit.data.one_class import OneClass
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import detect_dataset
from detkit.detections.results import load_results
from detkit.detector import Detector
from detkit.device import find_device
from detkit.evaluate.metrics import metrics_to_json
from detkit.evaluate.recall import ALL, SIZES, match_ranks
from detkit.models import RPN

LIMITS = (100, 300, 1000)  # proposals of an image
IOU = 0.5
WARM_UP = 3  # images
TIMED = 50  # images, at most


def judge(config_path: Path, checkpoint: Path, proposals: Optional[Path]) -> Dict[str, Any]:
    """Returns the metrics of the config's evaluator, the recall of the proposals and the time.

    proposals: the file of the proposals of data.val; None if the detector makes its own.

    The keys are the metrics' own, "recall", {size: [recall of the best 100, 300 and 1000]} at IoU
    0.5, None without objects of that size, and "ms", the median of the time of an image.
    """
    config = open_config(str(config_path))
    detector = detkit.load(config, str(checkpoint))
    dataset = build_dataset(config, "val")
    loader = build_loader(config, "val", dataset, batch_size=1)
    metrics = build_evaluator(config)(dataset, detect_dataset(detector, loader))
    return {
        **metrics_to_json(metrics),
        "recall": recall_by_size(dataset, proposals_of(detector, loader, dataset, proposals)),
        "ms": 1000 * median_seconds(detector, loader),
    }


def proposals_of(
    detector: Detector, loader: Loader, dataset: Dataset, path: Optional[Path]
) -> Dict[Any, Detections]:
    """Returns the proposals of a file, or those of the detector's own RPN."""
    if path is not None:
        return load_results(str(path), OneClass(dataset))
    parts = {name: getattr(detector.model, name) for name in RPN.PARTS}
    names = OneClass(dataset).class_names
    ctx, pad = find_device("auto"), detector.pad_multiple
    rpn = Detector(RPN(**parts), names, detector.transforms, ctx, pad)
    return detect_dataset(rpn, loader) or {}


def recall_by_size(
    dataset: Dataset, proposals: Dict[Any, Detections]
) -> Dict[str, List[Optional[float]]]:
    """Returns the recall of the best proposals at IoU 0.5, {size: one for each of LIMITS}."""
    ranks = match_ranks(OneClass(dataset), proposals, [IOU])
    return {
        size: [None if np.isnan(value) else value for value in _recalls(ranks, size)]
        for size in (ALL, *SIZES)
    }


def _recalls(ranks: Any, size: str) -> List[float]:
    return [ranks.recall(size, limit)[0] for limit in LIMITS]


def median_seconds(detector: Detector, loader: Loader) -> float:
    """Returns the median of the seconds of an image, without those of its reading."""
    taken = []
    for number, batch in enumerate(loader.batches(epoch=0)):
        if number == WARM_UP + TIMED:
            break
        began = time.perf_counter()
        detector.detect_batch(batch)
        taken.append(time.perf_counter() - began)
    return float(np.median(taken[WARM_UP:] or taken))
