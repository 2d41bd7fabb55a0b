"""Compares anchors with boxes, and proposes others: ``detkit anchors``."""

import argparse
from typing import List, Optional, Sequence

import numpy as np

from detkit.build import build_dataset, pad_multiple_of
from detkit.build.anchor_fit import (
    LARGE,
    LEAST_CELLS,
    SMALL,
    Anchors,
    SeenBoxes,
    anchors_of,
    boxes_on_disk,
    proposed_stride,
    seen_boxes,
    unmatched_by,
)
from detkit.commands.anchors_plot import Judged, check_plot, write_plot
from detkit.commands.sources import config_of, dataset_of
from detkit.data.anchor_recall import (
    THRESHOLDS,
    Grid,
    centred_iou,
    grid_iou,
    k_means_shapes,
    recall_of,
)
from detkit.data.anchor_sizes import (
    MATCHABLE,
    AnchorSizes,
    closest_anchors,
    propose_anchors,
    sides_of,
)
from detkit.errors import ConfigError
from detkit.wording import counted

LEAST_GAIN = 0.02  # of the recall at all thresholds together, for other anchors to be proposed
ENDS = (0, SMALL, 50, LARGE, 100)  # percentiles that are printed


def main(args: argparse.Namespace) -> None:
    """Prints the sizes of the boxes, the recall of the anchors, and YAML; draws the plot."""
    config = config_of(args.config, args.overrides)
    if args.plot:
        check_plot(args.plot)
    if config is None:
        of_data(args)
        return
    if args.short is not None:
        raise ConfigError(
            f"--short: expected no size, because {args.config} has data.train_transforms, found "
            f"{args.short}; change it by --set data.train_transforms.0.short={args.short}"
        )
    anchors = anchors_of(config, build_dataset(config, args.split).class_names)
    seen = seen_boxes(config, args.split)
    boxes = seen.boxes[:, 2:] - seen.boxes[:, :2]
    pad = pad_multiple_of(config)
    grid = anchors.grid(anchors.sides, pad) if anchors.is_grid else None
    now = judged("configured anchors", seen, grid, anchors.sides)
    lines = [*boxes_lines(boxes, "of the network's input"), *anchor_lines(boxes, anchors)]
    shown, better = [now], None
    if anchors.is_grid:
        better = better_anchors(seen, anchors, now, pad)
    if better is not None:
        sides = sides_of(better)
        shown.append(judged("proposed anchors", seen, anchors.grid(sides, pad), sides))
    for count in sorted({len(one.sides) for one in shown}):
        free = k_means_shapes(seen.boxes, count)
        shown.append(judged(f"k-means, {counted(count, 'free shape')}", seen, None, free))
    lines += recall_lines(shown)
    if anchors.is_grid:
        lines += proposal_lines(better, None)
    print("\n".join(lines))
    if args.plot:
        write_plot(args.plot, boxes, shown)


def of_data(args: argparse.Namespace) -> None:
    """Prints the lines on a folder of data, which has no anchors yet, and draws its plot."""
    dataset = dataset_of(None, args.config, None if args.split == "train" else args.split)
    boxes = boxes_on_disk(dataset, args.config, args.short, args.long)
    stride = proposed_stride(boxes)
    resized = f"of images whose shorter side is {args.short}"
    pixels = "of the images on disk" if args.short is None else resized
    better = propose_anchors(boxes, [stride])
    print("\n".join([*boxes_lines(boxes, pixels), *proposal_lines(better, stride)]))
    if args.plot:
        centred = SeenBoxes(np.concatenate([-boxes, boxes], axis=1) / 2, np.zeros((0, 2)))
        proposed = judged("proposed anchors", centred, None, sides_of(better))
        write_plot(args.plot, boxes, [proposed])


def judged(name: str, seen: SeenBoxes, grid: Optional[Grid], sides: np.ndarray) -> Judged:
    """Returns anchors with their IoU: shapes (A, 2), at the places of a grid if there is one."""
    on_grid = None if grid is None else grid_iou(seen.boxes, seen.sizes, grid)
    return Judged(name, sides, centred_iou(seen.boxes, sides), on_grid)


def better_anchors(
    seen: SeenBoxes, anchors: Anchors, now: Judged, pad_multiple: int
) -> Optional[AnchorSizes]:
    """Returns sizes and ratios that fit better than those of the config, or None.

    Anchors that match more objects come first. If there are none, those of as many at a cell are
    tried whose shapes are closer to the objects.
    """
    boxes = seen.boxes[:, 2:] - seen.boxes[:, :2]
    better = propose_anchors(boxes, anchors.strides)
    if better.unmatched < unmatched_by(boxes, anchors.sides):
        return better
    per_cell = len(anchors.sides) // len(anchors.strides)
    closer = closest_anchors(boxes, anchors.strides, per_cell)
    found = grid_iou(seen.boxes, seen.sizes, anchors.grid(sides_of(closer), pad_multiple))
    before = now.centred if now.on_grid is None else now.on_grid
    gain = sum(recall_of(found)) - sum(recall_of(before))
    return closer if gain > LEAST_GAIN else None


def recall_lines(shown: Sequence[Judged]) -> List[str]:
    """Returns a table of the recall of anchors."""
    heads = "".join(f"{f'IoU {threshold}':>10}" for threshold in THRESHOLDS)
    lines = [f"{'recall of the objects':44}{heads}"]
    for one in shown:
        for place, iou in (("best possible", one.centred), ("on the grid", one.on_grid)):
            if iou is not None:
                cells = "".join(f"{share:>10.1%}" for share in recall_of(iou))
                lines.append(f"{f'{one.name}, {place}':44}{cells}")
    return lines


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


def proposal_lines(better: Optional[AnchorSizes], stride: Optional[int]) -> List[str]:
    """Returns YAML of proposed anchors, with a line on how well they fit.

    better: None if those of the config fit as well. stride: see ``as_config``.
    """
    if better is None:
        return ["these anchors fit as well as any that would be proposed"]
    return [
        f"proposed: {better.unmatched:.1%} of the objects reach IoU {MATCHABLE} with none of",
        *as_config(better, stride),
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
