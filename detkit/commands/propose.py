"""Writes proposals that need no training: ``detkit propose``."""

import argparse
import functools
import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np
from tqdm import tqdm

from detkit.build import build_dataset, open_config
from detkit.data.one_class import OneClass
from detkit.data.proposers import Proposer, propose, selective_search, sliding_windows
from detkit.data.sample import Dataset
from detkit.detections import Detections
from detkit.detections.of_dataset import no_detections
from detkit.detections.results import save_results
from detkit.errors import ConfigError, ImageError
from detkit.evaluate.recall import recall_table
from detkit.files.disk import make_folder

SUFFIXES = (".npz", ".json")


def main(args: argparse.Namespace) -> None:
    """Proposes, writes the file, prints the table."""
    if Path(args.out).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out: expected FILE.npz or FILE.json, found {args.out}")
    config = open_config(args.config, args.overrides)
    dataset = OneClass(build_dataset(config, args.split))
    make_folder(Path(args.out).parent)
    proposals = proposals_of(dataset, args)
    save_results(args.out, proposals, dataset)
    print(recall_table(dataset, proposals))
    print(f"written: {args.out}")


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
    return lambda image, rng: sliding_windows(image.shape[0], image.shape[1], rng, args.limit)
