"""Draws the detections of a checkpoint or an export into images: boxes, names, scores."""

import argparse
import os
import sys

from detkit.build import open_config
from detkit.cli import common_arguments, proposals_argument, run, tta_argument
from detkit.data import proposals_of_files
from detkit.data.images import decode_image, list_images
from detkit.detections.draw import draw_detections, save_image
from detkit.errors import DataError, ImageError
from detkit.files.disk import make_folder
from detkit.loading import open_detector


def main(argv=None):
    """Draws every image that can be read; raises DataError at the end for the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="the folder of a checkpoint or an export"
    )
    parser.add_argument(
        "images", metavar="IMAGE_OR_FOLDER", nargs="+", help="files, and folders of images"
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the drawn images")
    parser.add_argument("--score", type=float, default=0.5, help="the least score (default: 0.5)")
    proposals_argument(parser)
    tta_argument(parser)
    args = parser.parse_args(argv)
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


def output_names(paths):
    """Returns 'street.png' for each path, numbered if several images have the same name."""
    stems = [os.path.splitext(os.path.basename(path))[0] for path in paths]
    again = [stems[:position].count(stem) for position, stem in enumerate(stems)]
    return [f"{stem}-{n + 1}.png" if n else f"{stem}.png" for stem, n in zip(stems, again)]


def draw(detector, path, proposals, out, score):
    """Writes the drawn image as PNG, prints its detections; returns False for an unreadable one.

    proposals: boxes (R, 4) of the image, or None.
    """
    try:
        image = decode_image(path, detector.max_pixels)
    except ImageError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return False
    found = detector.detect(image, proposals)
    shown = [f"{one.name} {one.score:.2f}" for one in found if one.score >= score]
    save_image(out, draw_detections(image, found, score))
    print(f"{path} -> {out}: {', '.join(shown) or 'nothing'}")
    return True


if __name__ == "__main__":
    sys.exit(run(main))
