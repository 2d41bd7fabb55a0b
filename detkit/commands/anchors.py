"""Compares anchors with boxes, and proposes others: ``detkit anchors``."""

import argparse
from typing import List, Optional, Sequence

import numpy as np

from detkit.build.anchor_fit import (
    LARGE,
    LEAST_CELLS,
    SMALL,
    Anchors,
    anchors_of,
    boxes_of,
    boxes_on_disk,
    proposed_stride,
    unmatched_by,
)
from detkit.build.data import build_dataset
from detkit.commands.sources import config_of, dataset_of
from detkit.data.anchor_sizes import MATCHABLE, AnchorSizes, propose_anchors
from detkit.errors import ConfigError
from detkit.wording import counted

ENDS = (0, SMALL, 50, LARGE, 100)  # percentiles that are printed


def main(args: argparse.Namespace) -> None:
    """Prints the sizes of the boxes, how well the anchors fit them, and YAML."""
    config = config_of(args.config, args.overrides)
    if config is None:
        split = None if args.split == "train" else args.split
        dataset = dataset_of(None, args.config, split)
        boxes = boxes_on_disk(dataset, args.config, args.short, args.long)
        stride = proposed_stride(boxes)
        resized = f"of images whose shorter side is {args.short}"
        pixels = "of the images on disk" if args.short is None else resized
        print("\n".join([*boxes_lines(boxes, pixels), *proposal_lines(boxes, [stride], None)]))
        return
    if args.short is not None:
        raise ConfigError(
            f"--short: expected no size, because {args.config} has data.train_transforms, found "
            f"{args.short}; change it by --set data.train_transforms.0.short={args.short}"
        )
    anchors = anchors_of(config, build_dataset(config, args.split).class_names)
    boxes = boxes_of(config, args.split)
    lines = [*boxes_lines(boxes, "of the network's input"), *anchor_lines(boxes, anchors)]
    if anchors.is_grid:
        lines += proposal_lines(boxes, anchors.strides, unmatched_by(boxes, anchors.sides))
    print("\n".join(lines))


def boxes_lines(boxes: np.ndarray, pixels: str) -> List[str]:
    """Returns a table of the sizes and ratios of boxes (M, 2); ``pixels`` says in whose pixels."""
    columns = {
        "width": boxes[:, 0],
        "height": boxes[:, 1],
        "size": np.sqrt(boxes.prod(axis=1)),
        "ratio": boxes[:, 1] / boxes[:, 0],
    }
    head = [
        f"{len(boxes)} boxes, in pixels {pixels}; size is the square root of the area, "
        "ratio is height / width",
        " " * 10
        + "".join(f"{name:>9}" for name in ("smallest", "5 %", "median", "95 %"))
        + f"{'largest':>9}",
    ]
    rows = []
    for name, values in columns.items():
        digits = ".2f" if name == "ratio" else ".0f"
        cells = (format(number, digits) for number in np.percentile(values, ENDS))
        rows.append(f"{name:10}" + "".join(f"{cell:>9}" for cell in cells))
    return [*head, *rows]


def anchor_lines(boxes: np.ndarray, anchors: Anchors) -> List[str]:
    """Returns lines on how well the anchors of a config fit the boxes (M, 2)."""
    stride, small = min(anchors.strides), np.percentile(np.sqrt(boxes.prod(axis=1)), SMALL)
    levels = len(anchors.strides)
    lines = [
        f"{counted(len(anchors.sides), 'anchor')} at a cell, of {counted(levels, 'level')} with "
        f"stride {', '.join(f'{each:g}' for each in anchors.strides)}: "
        f"{unmatched_by(boxes, anchors.sides):.1%} of the objects reach IoU {MATCHABLE} with none"
    ]
    if small < LEAST_CELLS * stride:
        lines.append(
            f"one object in twenty is smaller than {small:.0f} pixels, less than {LEAST_CELLS} "
            f"cells of the finest stride; a finer map (model.backbone.out_strides) or larger "
            "images would show more of it"
        )
    return lines


def proposal_lines(boxes: np.ndarray, strides: Sequence[float], now: Optional[float]) -> List[str]:
    """Returns YAML of anchors that fit the boxes (M, 2), with a line on how well they do.

    now: the share of objects that the anchors of the config do not match; None if there are none.
    """
    better = propose_anchors(boxes, strides)
    if now is not None and now <= better.unmatched:
        return ["these anchors fit as well as any that would be proposed"]
    return [
        f"proposed: {better.unmatched:.1%} of the objects reach IoU {MATCHABLE} with none of",
        *as_config(better, None if now is not None else int(strides[0])),
    ]


def as_config(better: AnchorSizes, stride: Optional[int]) -> List[str]:
    """Returns the lines of a config; ``stride`` is that of the backbone's map, None keeps it."""
    backbone = (
        []
        if stride is None
        else [f"  backbone: {{out_strides: [{stride}]}}  # one level, without a neck"]
    )
    grid = f"{{sizes: {better.sizes}, ratios: {better.ratios}}}"
    return ["model:", *backbone, f"  anchors: {grid}"]
