"""Draws the detections of a checkpoint or an export into images: ``detkit predict``."""

import argparse
import os
import sys
from typing import List, Optional, Sequence

import numpy as np

from detkit.build import open_config
from detkit.data import proposals_of_files
from detkit.data.images import decode_image, list_images
from detkit.detections.draw import draw_detections, save_image
from detkit.errors import DataError, ImageError
from detkit.files.disk import make_folder
from detkit.loading import AnyDetector, open_detector
from detkit.threshold import UNCHOSEN


def main(args: argparse.Namespace) -> None:
    """Draws every image that can be read; raises DataError at the end for the others."""
    paths = list_images(args.images)
    config = open_config(args.config, args.overrides)
    detector = open_detector(config, args.checkpoint, args.tta)
    proposals = proposals_of_files(args.proposals, paths, detector.takes_proposals, detector.name)
    make_folder(args.out)
    unreadable = [
        path
        for path, name, boxes in zip(paths, output_names(paths), proposals or [None] * len(paths))
        if not draw(detector, path, boxes, os.path.join(args.out, name), args.score)
    ]
    if unreadable:
        raise DataError(f"{len(unreadable)} of {len(paths)} images could not be read, see above")


def output_names(paths: Sequence[str]) -> List[str]:
    """Returns 'street.png' for each path, numbered if several images have the same name."""
    stems = [os.path.splitext(os.path.basename(path))[0] for path in paths]
    again = [stems[:position].count(stem) for position, stem in enumerate(stems)]
    return [f"{stem}-{n + 1}.png" if n else f"{stem}.png" for stem, n in zip(stems, again)]


def draw(
    detector: AnyDetector,
    path: str,
    proposals: Optional[np.ndarray],
    out: str,
    score: Optional[float],
) -> bool:
    """Writes the drawn image as PNG, prints its detections; returns False for an unreadable one.

    proposals: boxes (R, 4) of the image, or None.
    score: the least score; None: the detector's threshold, or UNCHOSEN without one.
    """
    try:
        image = decode_image(path, detector.max_pixels)
    except ImageError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return False
    found = detector.detect(image, proposals, score=None if score is None else 0)
    if score is not None or detector.threshold is None:
        found = found[found.scores >= (UNCHOSEN if score is None else score)]
    shown = [f"{one.name} {one.score:.2f}" for one in found]
    save_image(out, draw_detections(image, found, 0))
    print(f"{path} -> {out}: {', '.join(shown) or 'nothing'}")
    return True
