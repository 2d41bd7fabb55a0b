"""Draws images with their objects: ``detkit browse``."""

import argparse
import os
from pathlib import Path
from typing import List, Optional, Sequence

from detkit.build import build_transforms
from detkit.commands.browse_inputs import INPUTS, write_inputs
from detkit.commands.browse_page import Picture, page
from detkit.commands.browse_samples import choose, samples_of
from detkit.commands.sources import config_of, dataset_of
from detkit.config import Config
from detkit.data.images import decode_image
from detkit.data.pictures import truth_picture
from detkit.data.sample import Dataset, Transforms
from detkit.detections.draw import contact_sheet, save_image
from detkit.errors import ConfigError, DataError
from detkit.files.disk import make_folder, whole_file
from detkit.wording import counted

PAGE, PICTURES = "index.html", "pictures"
ON_SHEET, COLUMNS, CELL = 12, 4, (320, 400)  # pictures of a sheet; height and width of a cell
MARK = b"detkit browse"  # in the beginning of a page


def main(args: argparse.Namespace) -> None:
    """Draws the pictures, the sheets and the page."""
    config = config_of(args.config, args.overrides)
    count = args.limit or args.count
    split = None if config is None and args.split == "train" else args.split
    dataset = dataset_of(config, args.config, split)
    transforms = transforms_of(config, args) if args.transforms else ()
    out = Path(args.out)
    check_out(out)
    make_folder(out / PICTURES)
    chosen = choose(len(dataset), count, args.seed)
    seed = 0 if config is None else config.get("seed", 0)
    pictures = draw(dataset, chosen, transforms, seed, out)
    if not pictures:
        raise DataError(f"{args.config}: expected an image that can be read, found none, see above")
    sheets = write_sheets(out, pictures)
    title = f"{args.config}, {args.split}"
    if args.transforms:
        title += ", as training sees it"
    with whole_file(out / PAGE) as part:
        text = page(title, dataset, pictures, sheets, "" if config is None else INPUTS)
        part.write_text(text, encoding="utf-8", errors="replace")
    drawn = f"{len(pictures)} of {counted(len(dataset), 'image')}"
    print(f"{drawn}, {counted(len(sheets), 'sheet')}: {out / PAGE}")
    if config is not None:
        name = f"{args.config}, {args.split}"
        print(write_inputs(config, dataset, args.split, out, name, count, args.seed))


def transforms_of(config: Optional[Config], args: argparse.Namespace) -> Transforms:
    """Returns ``data.train_transforms``. Raises ConfigError for a folder of data, without any."""
    if config is None:
        raise ConfigError(
            f"--transforms: expected a config, whose data.train_transforms are shown, found the "
            f"data {args.config}"
        )
    return build_transforms(config, "train")


def check_out(out: Path) -> None:
    """Raises DataError for a folder that holds something else than an earlier page."""
    found = out / PAGE
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not found.is_file() or MARK not in found.read_bytes()[:200]:
        raise DataError(
            f"--out {out}: expected a new folder, or an earlier one of this command, found another"
        )


def draw(
    dataset: Dataset, chosen: Sequence[int], transforms: Transforms, seed: int, out: Path
) -> List[Picture]:
    """Writes a picture of each image that can be read, names the others, and removes older ones."""
    for old in (out / PICTURES).glob("*.jpg"):
        os.unlink(old)
    pictures: List[Picture] = []
    for number, sample in samples_of(dataset, chosen, transforms, seed):
        name = f"{PICTURES}/{number:05d}.jpg"
        drawn = truth_picture(sample, dataset.class_names)
        save_image(out / name, drawn)
        labels = sample.labels[~sample.difficult].tolist()
        height, width, _ = drawn.shape
        pictures.append(Picture(name, str(sample.image_id), (height, width), labels))
    return pictures


def write_sheets(out: Path, pictures: Sequence[Picture]) -> List[str]:
    """Writes sheets of the pictures, and removes those of an earlier page; returns their names."""
    for old in out.glob("sheet-*.jpg"):
        os.unlink(old)
    names = []
    for start in range(0, len(pictures), ON_SHEET):
        names.append(f"sheet-{start // ON_SHEET + 1:03d}.jpg")
        drawn = [decode_image(out / one.file) for one in pictures[start : start + ON_SHEET]]
        save_image(out / names[-1], contact_sheet(drawn, COLUMNS, CELL))
    return names
