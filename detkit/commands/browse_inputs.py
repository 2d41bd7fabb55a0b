"""The page of ``detkit browse`` that shows images as the network of a config will see them."""

import json
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

import numpy as np

from detkit.build import (
    build_model,
    build_proposals,
    build_train_step,
    build_transforms,
    choose_operators,
    pad_multiple_of,
)
from detkit.build.left_out import ROIS, filter_of, find_left_out
from detkit.commands.browse_samples import choose, samples_of
from detkit.config import Config, section
from detkit.data.anchor_sizes import MATCHABLE
from detkit.data.sample import Dataset, Sample
from detkit.device import find_device
from detkit.files.disk import whole_file
from detkit.report.inputs import MOST_BYTES, inputs_page, packed_input
from detkit.train_steps.matched_anchors import AnchorMatcher, targets_of
from detkit.wording import counted

INPUTS = "inputs.html"  # beside the page of the data


def write_inputs(
    config: Config,
    dataset: Dataset,
    split: str,
    out: Path,
    title: str,
    count: int,
    seed: Optional[int],
) -> str:
    """Writes the page into the folder ``out``; returns a line on what it holds.

    Images of "train" pass ``data.train_transforms`` as in the first epoch, without those that
    ``data.filter`` leaves out. Images of other splits pass ``data.val_transforms``. count, seed:
    see ``choose``. The page ends before it exceeds MOST_BYTES.
    """
    kind = "train" if split == "train" else "val"
    chosen = _chosen(config, dataset, split, count, seed)
    samples = samples_of(dataset, chosen, build_transforms(config, kind), config.get("seed", 0))
    matcher = matcher_of(config, dataset)
    packed, is_cut = _packed(samples, matcher)
    about = (
        f"{len(packed)} of {counted(len(dataset), 'image')} of data.{split} after "
        f"data.{kind}_transforms" + (", as in the first epoch of a training." * (kind == "train"))
    )
    text = inputs_page(title, dataset.class_names, packed, about, MATCHABLE, matcher is not None)
    with whole_file(out / INPUTS) as part:
        part.write_text(text, encoding="utf-8")
    cut = f" (more would exceed {MOST_BYTES // 10**6} MB)" * is_cut
    return (
        f"{counted(len(packed), 'image')} as the network sees them{cut}, "
        f"{len(text) / 1e6:.1f} MB: {out / INPUTS}"
    )


def _chosen(
    config: Config, dataset: Dataset, split: str, count: int, seed: Optional[int]
) -> List[int]:
    """Returns the indices of the images that are shown; see ``write_inputs``."""
    usable = np.arange(len(dataset))
    if split == "train":
        proposals = build_proposals(config, split, dataset) if filter_of(config) == ROIS else None
        usable = np.setdiff1d(usable, list(find_left_out(config, dataset, proposals)))
    chosen: List[int] = usable[choose(len(usable), count, seed)].tolist()
    return chosen


def _packed(
    samples: Iterable[Tuple[int, Sample]], matcher: Optional[AnchorMatcher]
) -> Tuple[List[Dict[str, Any]], bool]:
    """Returns what the page shows of the images, and whether MOST_BYTES left some out."""
    packed: List[Dict[str, Any]] = []
    size = 0
    for _, sample in samples:
        one = packed_input(sample, matcher(sample) if matcher else None)
        size += len(json.dumps(one))
        if size > MOST_BYTES and packed:
            return packed, True
        packed.append(one)
    return packed, False


def matcher_of(config: Config, dataset: Dataset) -> Optional[AnchorMatcher]:
    """Returns what matches the anchors of a config; None without anchors or training step.

    The network is built without pretrained weights, on which anchors do not depend.
    """
    if not section(config, "train_step"):
        return None
    device = find_device("cpu")
    choose_operators(config, device)
    model = build_model(config, dataset.class_names, device, pretrained=False)
    step = build_train_step(config, model, len(dataset.class_names))
    return AnchorMatcher(step, pad_multiple_of(config)) if targets_of(step) else None
