"""Detects in a long video as detkit predict does; fails if memory, files or threads grow.

The video is drawn, and has as many frames as --frames says. What the detector finds in it is saved
in every form of --save, below a temporary folder. Before and after, the detector alone takes some
frames that are in memory: the two rates say what reading, drawing and writing cost.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # for support/tiny.py

import cv2  # noqa: E402

import detkit  # noqa: E402, F401 - before MXNet
from detkit.cli import debug_argument, positive, run  # noqa: E402
from detkit.commands.arguments.predict import forms  # noqa: E402
from detkit.commands.timing import opened  # noqa: E402
from detkit.files.disk import whole_file  # noqa: E402
from detkit.loading import AnyDetector  # noqa: E402
from detkit.predictions.frames import Frames  # noqa: E402
from detkit.predictions.pipeline import Rate  # noqa: E402
from detkit.predictions.run import described, predict  # noqa: E402
from detkit.predictions.saves import Result, open_saves  # noqa: E402
from detkit.predictions.sources import find_sources  # noqa: E402
from soak.images import draw_video  # noqa: E402
from soak.watch import BOUND, LEAST_SAMPLES, Watch, refuse, verdict  # noqa: E402
from support import tiny  # noqa: E402

ALONE = 20  # one in so many frames goes through the detector alone, before and again after
FEWEST = 8  # frames that do so at least
KEPT = 16  # of them are different, so that they need little memory


def arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help="a run, a checkpoint or an export, or a config, whose weights are then random; "
        "default: the tests' tiny one",
    )
    parser.add_argument("--frames", type=positive, default=10_000, help="default: 10000")
    parser.add_argument(
        "--size",
        type=positive,
        nargs=2,
        metavar=("WIDTH", "HEIGHT"),
        default=(640, 480),
        help="of the frames in pixels (default: 640 480)",
    )
    parser.add_argument(
        "--save", type=forms, metavar="FORM,FORM", default=["video", "json", "coco"],
        help="as of detkit predict (default: video,json,coco)",
    )  # fmt: skip
    parser.add_argument("--score", type=float, default=0.5, help="the least score (default: 0.5)")
    parser.add_argument("--batch-size", type=positive, default=1, metavar="B", help="default: 1")
    parser.add_argument("--every", type=positive, default=250, help="frames between two lines")
    parser.add_argument("--bound", type=float, default=BOUND, help=f"MB (default: {BOUND:g})")
    parser.add_argument("--json", metavar="FILE", help="write the rates and the samples here")
    debug_argument(parser)
    args = parser.parse_args(argv)
    if args.frames < LEAST_SAMPLES * args.every:
        parser.error(f"--frames: expected at least {LEAST_SAMPLES} times --every")
    return args


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Detects in the video; raises SoakError if the process grows."""
    args = arguments(argv)
    with tempfile.TemporaryDirectory(prefix="detkit-soak-") as folder:
        detector = opened(str(args.model or tiny.project(Path(folder, "project"))))
        video = Path(folder, "video.mp4")
        draw_video(video, args.frames, tuple(args.size))
        before = alone(detector, video, args)
        watch = Watch("prediction", args.every)
        rate = through(detector, video, args, watch, Path(folder, "out"))
        after = alone(detector, video, args)
    found = {**rates(rate, (before, after)), **verdict(watch, args.bound)}
    print(described(rate))
    print(
        f"{found['per_second']:.2f} frames a second into {', '.join(args.save)}; the detector "
        f"alone {found['alone_per_second']:.2f} ({before:.2f} before, {after:.2f} after); reading, "
        f"drawing and writing cost {100 * found['cost']:.1f} % of its rate"
    )
    if args.json:
        with whole_file(Path(args.json)) as part:
            part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    refuse([found])


def alone(detector: AnyDetector, video: Path, args: argparse.Namespace) -> float:
    """Returns the frames a second of the detector, given frames that are in memory."""
    capture = cv2.VideoCapture(str(video))
    read: List[Tuple[bool, Any]] = [capture.read() for _ in range(min(KEPT, args.frames))]
    capture.release()
    images = [image[:, :, ::-1].copy() for is_there, image in read if is_there]
    size = args.batch_size
    groups = [[images[(i + j) % len(images)] for j in range(size)] for i in range(len(images))]
    detector.detect(groups[0])  # the first one of a shape takes longer
    count = max(FEWEST, args.frames // ALONE // size)
    start = time.perf_counter()
    for number in range(count):
        detector.detect(groups[number % len(groups)])
    return count * size / (time.perf_counter() - start)


def through(
    detector: AnyDetector, video: Path, args: argparse.Namespace, watch: Watch, out: Path
) -> Rate:
    """Detects in all frames and saves what is found; returns what that took."""
    frames = Frames(find_sources([str(video)]), max_pixels=detector.max_pixels)
    out.mkdir()
    saves = open_saves(args.save, out, detector.class_names, "none")

    def heard(result: Result) -> None:
        if watch.is_due(result.index + 1):
            watch.take(result.index + 1)

    watch.begin()
    return predict(detector, frames, saves, args.score, args.batch_size, heard)


def rates(rate: Rate, alone_per_second: Sequence[float]) -> Dict[str, Any]:
    """Returns the two rates, and the share of the detector's own that the rest costs."""
    own, all_of_it = sum(alone_per_second) / 2, rate.items / rate.seconds
    return {
        "frames": rate.items,
        "seconds": rate.seconds,
        "waited_for_reading": rate.waited_for_reading,
        "waited_for_writing": rate.waited_for_writing,
        "per_second": all_of_it,
        "alone_per_second": own,
        "cost": 1 - all_of_it / own,
    }


if __name__ == "__main__":
    sys.exit(run(main))
