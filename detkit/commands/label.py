"""Pre-labels images for a label tool: ``detkit label``."""

import argparse
import os
import sys
from pathlib import Path
from typing import Sequence

from detkit.commands.predict import check_read, detector_of, in_tiles
from detkit.errors import DataError
from detkit.files.disk import make_folder
from detkit.predictions.frames import Frames, described
from detkit.predictions.run import described as rate_of
from detkit.predictions.run import predict
from detkit.predictions.saves import Result, Save, Target
from detkit.predictions.saves.cvat import CvatSave
from detkit.predictions.saves.label_studio import LOCAL, LabelStudioSave
from detkit.predictions.saves.layouts import LabelMeSave
from detkit.predictions.sources import IMAGE, Source, find_sources
from detkit.wording import counted


def main(args: argparse.Namespace) -> None:
    """Detects in every image that can be read; raises DataError at the end for the others."""
    sources = find_sources(args.sources)
    if any(each.kind != IMAGE for each in sources):
        raise DataError(
            f"IMAGES: expected images alone, found {described(sources)}; detkit predict --save "
            "yolo, voc, labelme or coco writes the frames of a video with their boxes"
        )
    detector = detector_of(args.model, None, args)
    if detector.takes_proposals:
        raise DataError(
            f"--model {args.model}: expected a detector that makes its own proposals, found "
            f"{detector.name}"
        )
    make_folder(args.out)
    frames = Frames(sources, max_pixels=detector.max_pixels)
    save = save_for(args, detector.class_names, folder_of(sources))
    count = 0

    def heard(result: Result) -> None:
        nonlocal count
        count += len(result.found)

    seer = in_tiles(detector, args)
    rate = predict(seer, frames, {args.to: save}, args.score, args.batch_size, heard)
    print(f"{args.out}: {counted(rate.items, 'image')}, {counted(count, 'object')} for {args.to}")
    print(rate_of(rate), file=sys.stderr)
    check_read(frames, sources)


def folder_of(sources: Sequence[Source]) -> Path:
    """Returns the folder that holds all images, itself or in folders below it."""
    return Path(os.path.commonpath([os.path.dirname(os.path.abspath(s.path)) for s in sources]))


def save_for(args: argparse.Namespace, class_names: Sequence[str], root: Path) -> Save:
    """Returns the form of a label tool.

    root: the folder of the images.

    Raises DataError if the folder of labelme holds anything already.
    """
    target = Target(Path(args.out), class_names, args.images)
    if args.to == "labelme":
        return LabelMeSave(target, split="")
    if args.to == "cvat":
        return CvatSave(target, root)
    prefix = LOCAL if args.prefix is None else args.prefix
    version = os.path.basename(os.path.abspath(args.model))
    return LabelStudioSave(target, root, prefix, version)
