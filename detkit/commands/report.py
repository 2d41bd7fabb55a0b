"""Writes a page about the detections of runs, exports and files: ``detkit report``."""

import argparse
import os
from pathlib import Path
from typing import Any, Dict, List, Sequence

from detkit.analysis import differences, summarise
from detkit.build import build_dataset
from detkit.commands.judged import Judged, config_that_judges, detections_of
from detkit.config import Config
from detkit.data.sample import Dataset
from detkit.errors import DataError
from detkit.files.disk import make_folder, whole_file
from detkit.report import add_all_boxes, first_of_each_kind, page, pictures_of
from detkit.wording import counted


def main(args: argparse.Namespace) -> None:
    """Detects or reads detections, summarises them, writes the page."""
    out = Path(args.out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"--out {args.out}: expected a file that ends with .html")
    config = config_that_judges(args.inputs, args.config, args.overrides)
    dataset = build_dataset(config, args.split)
    make_folder(out.parent)
    judged = [
        detections_of(path, config, dataset, args)._replace(name=name)
        for path, name in zip(args.inputs, short_names(args.inputs))
    ]
    summaries = [_summary(one, config, dataset, args) for one in judged]
    pictures = pictures_of(summaries, dataset)
    several = len(judged) > 1
    apart = differences(dataset, [one.detections for one in judged]) if several else ()
    text = page(summaries, apart, pictures)
    with whole_file(out) as part:
        part.write_text(text, encoding="utf-8")
    images, objects = summaries[0]["images"], summaries[0]["objects"]
    size = len(text.encode()) / 1e6
    print(f"{out}: {counted(images, 'image')}, {counted(objects, 'object')}, {size:.1f} MB")


def short_names(paths: Sequence[str]) -> List[str]:
    """Returns the paths without the folder that all of them have in common."""
    whole = [os.path.abspath(path) for path in paths]
    common = os.path.commonpath([os.path.dirname(path) for path in whole])
    return [os.path.relpath(path, common) for path in whole]


def _summary(
    judged: Judged, config: Config, dataset: Dataset, args: argparse.Namespace
) -> Dict[str, Any]:
    summary = summarise(
        dataset,
        judged.detections,
        rule=_rule(config),
        name=judged.name,
        split=args.split,
        speed=judged.speed,
        training=judged.training,
        about=judged.about,
        threshold=judged.about.get("threshold", {}).get("score"),
    )
    summary = first_of_each_kind(summary, args.examples)
    add_all_boxes(summary, dataset, judged.detections)
    return summary


def _rule(config: Config) -> str:
    """Returns the rule of the hits: VOC's for its evaluator, otherwise COCO's."""
    return "voc" if config["evaluate"].get("type") == "VOCEvaluator" else "coco"
