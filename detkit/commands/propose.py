"""Writes the proposals of a config's images that need no training, and prints their recall.

Selective Search needs opencv-contrib-python, the same Python module as opencv-python. The file is
read by data.train_proposals and data.val_proposals.
"""

import argparse
import functools
import sys
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import numpy as np
from tqdm import tqdm

from detkit.build import build_dataset, open_config
from detkit.cli import common_arguments, positive, run, split_argument
from detkit.data.one_class import OneClass
from detkit.data.proposers import MODES, Proposer, propose, selective_search, sliding_windows
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import no_detections
from detkit.detections.results import save_results
from detkit.errors import ConfigError, ImageError
from detkit.evaluate.recall import recall_table
from detkit.files.disk import make_folder

SUFFIXES = (".npz", ".json")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Proposes, writes the file, prints the table."""
    args = parsed(argv)
    if Path(args.out).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out: expected FILE.npz or FILE.json, found {args.out}")
    config = open_config(args.config, args.overrides)
    dataset = OneClass(build_dataset(config, args.split))
    make_folder(Path(args.out).parent)
    proposals = proposals_of(dataset, args)
    save_results(args.out, proposals, dataset)
    print(recall_table(dataset, proposals))
    print(f"written: {args.out}")


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    split_argument(parser)
    parser.add_argument(
        "--method", choices=("selective_search", "sliding_windows"), default="selective_search"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        required=True,
        help="FILE.npz, or COCO results JSON, which is larger and keeps no image without proposals",
    )
    parser.add_argument(
        "--limit", type=positive, default=2000, metavar="N", help="proposals of an image: 2000"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order of the proposals")
    parser.add_argument(
        "--mode", choices=tuple(MODES), default="fast", help="of Selective Search; default: fast"
    )
    parser.add_argument(
        "--side",
        type=positive,
        default=500,
        metavar="PIXELS",
        help="Selective Search looks at larger images at this longer side; default: 500",
    )
    parser.add_argument("--workers", type=positive, default=1, help="threads; default: 1")
    args = parser.parse_args(argv)
    if args.seed < 0:
        parser.error(f"--seed: expected a whole number of at least 0, found {args.seed}")
    return args


def proposals_of(dataset: Dataset, args: argparse.Namespace) -> Dict[Any, Detections]:
    """Returns the proposals of every image; prints how many there are, and each image without.

    An image that cannot be decoded has no proposals. It keeps its place in the file, so that a
    training, which counts and skips it, finds an entry for all its images.
    """
    found, bad = {}, list(dataset.bad_images)
    images = propose(dataset, proposer(args), args.limit, args.seed, args.workers)
    for image_id, proposals in tqdm(images, args.method, len(dataset), unit="image", disable=None):
        if isinstance(proposals, ImageError):
            bad.append((image_id, str(proposals)))
            proposals = no_detections(dataset.class_names)
        found[image_id] = proposals
    for image_id, reason in bad:
        print(f"no proposals of {image_id}: {reason}", file=sys.stderr)
    counts = [len(one.boxes) for one in found.values()]
    print(
        f"{sum(counts)} proposals of {len(found)} images, {np.mean(counts):.0f} an image; "
        f"{len(bad)} images cannot be used"
    )
    return found


def proposer(args: argparse.Namespace) -> Proposer:
    """Returns the function from an image and a generator to boxes that the arguments describe."""
    if args.method == "selective_search":
        return functools.partial(selective_search, mode=args.mode, side=args.side)
    return lambda image, rng: sliding_windows(*image.shape[:2], rng, args.limit)


if __name__ == "__main__":
    sys.exit(run(main))
