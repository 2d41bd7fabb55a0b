"""Detects in images and videos, and saves what is found: ``detkit predict``."""

import argparse
import os
import sys
from pathlib import Path
from typing import List, Optional, Sequence

import numpy as np

from detkit.data import proposals_of_files
from detkit.data.tiling import OVERLAP, TakesBatches, Tiled, Tiling
from detkit.errors import CheckpointError, DataError
from detkit.export.runtimes.choice import is_exported
from detkit.export.runtimes.names import is_onnx
from detkit.files.disk import make_folder
from detkit.loading import AnyDetector, config_and_checkpoint, load, open_detector
from detkit.predictions.captures import Waiting
from detkit.predictions.frames import Frames, described
from detkit.predictions.run import described as rate_of
from detkit.predictions.run import predict, telling
from detkit.predictions.saves import DRAWN, Result, open_saves
from detkit.predictions.saves.pictures import PicturesSave
from detkit.predictions.sources import IMAGE, Source, find_sources
from detkit.requirements import import_mxnet

PICTURES, VIDEO = "pictures", "video"


def main(args: argparse.Namespace) -> None:
    """Detects in every frame that can be read; raises DataError at the end for the others."""
    model, words = args.config, args.sources
    checkpoint: Optional[str] = None
    if not (os.path.isdir(model) or is_onnx(model)):
        checkpoint, *words = words
    sources = find_sources(words)
    check_forms(args.save or (), sources)
    detector = detector_of(model, checkpoint, args)
    proposals = proposals_for(args.proposals, sources, detector)
    make_folder(args.out)
    saves = open_saves(args.save, Path(args.out), detector.class_names, args.images)
    frames = Frames(sources, proposals, detector.max_pixels, Waiting(args.retry_for))

    def place(result: Result) -> str:
        drawn = os.path.join(args.out, PicturesSave.name_of(result))
        return drawn if {PICTURES, DRAWN} & {*saves} else ""

    heard = telling(lambda line: print(line, flush=True), place)
    rate = predict(in_tiles(detector, args), frames, saves, args.score, args.batch_size, heard)
    print(rate_of(rate), file=sys.stderr)
    check_read(frames, sources)


def in_tiles(detector: AnyDetector, args: argparse.Namespace) -> TakesBatches:
    """Returns the detector, which looks at tiles with ``--tiles``. Raises DataError."""
    if args.tiles is None:
        return detector
    overlap = OVERLAP if args.overlap is None else args.overlap
    try:
        tiling = Tiling(args.tiles, overlap, not args.no_whole, batch=args.batch_size)
    except ValueError as error:
        raise DataError(f"--{error}") from error
    return Tiled(detector, tiling)


def check_read(frames: Frames, sources: Sequence[Source]) -> None:
    """Raises DataError if not all sources could be read."""
    if frames.unread:
        what = "images" if all(each.kind == IMAGE for each in sources) else "sources"
        raise DataError(f"{frames.unread} of {len(sources)} {what} could not be read, see above")


def check_forms(forms: Sequence[str], sources: Sequence[Source]) -> None:
    """Raises DataError for a video of images."""
    if VIDEO in forms and all(each.kind == IMAGE for each in sources):
        raise DataError(
            f"--save {VIDEO}: expected a video, a camera or a stream among the sources, found "
            f"{described(sources)}; --save {PICTURES} draws images"
        )


def detector_of(model: str, checkpoint: Optional[str], args: argparse.Namespace) -> AnyDetector:
    """Returns the detector of a folder or an .onnx, or, with ``checkpoint``, that of a config.

    args: with runtime and device, and perhaps, for what is no export, overrides and tta.

    Raises the errors of detkit.load.
    """
    overrides, tta = getattr(args, "overrides", ()), getattr(args, "tta", False)
    if checkpoint is None and is_exported(model):
        if overrides or tta:
            raise CheckpointError(
                f"{model}: expected the folder of a run or a checkpoint for --set and --tta, "
                "found an export"
            )
        return load(model, device=args.device, runtime=args.runtime)
    import_mxnet()
    from detkit.build import open_config

    if checkpoint is None:
        model, checkpoint = config_and_checkpoint(model)
    config = open_config(model, overrides)
    return open_detector(config, checkpoint, tta, args.runtime, args.device)


def proposals_for(
    file: Optional[str], sources: Sequence[Source], detector: AnyDetector
) -> Optional[List[np.ndarray]]:
    """Returns the proposals of each source, or None. Raises DataError, also for a video."""
    videos = [each.shown for each in sources if each.kind != IMAGE]
    if detector.takes_proposals and videos:
        raise DataError(
            f"{videos[0]}: expected image files, because {detector.name} makes no proposals, found "
            "a video"
        )
    paths = [each.path for each in sources]
    return proposals_of_files(file, paths, detector.takes_proposals, detector.name)
