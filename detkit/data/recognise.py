"""Recognises the layout of a dataset from what lies in its folder, and names the reader for it."""

import itertools
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from detkit.data.layout_files import Sections, malformed_files
from detkit.data.layouts import LAYOUTS, Layout
from detkit.data.sample import Dataset
from detkit.errors import DataError
from detkit.registry import DATASETS
from detkit.wording import first_few

LISTED = 12  # names of files and folders in a message
MOST_LISTED = 1000  # names that are read for it


class Source(NamedTuple):
    """A dataset on disk.

    layout: the name of its layout, a key of LAYOUTS.
    splits: the section ``data.train`` of a config for each of "train", "val" and "test" that is
        there, or "all" for a dataset without splits.
    reason: what the layout was recognised by.
    """

    layout: str
    splits: Sections
    reason: str


def recognise(folder: Union[str, Path], layout: Optional[str] = None) -> Source:
    """Returns the layout of a folder and the sections that read its splits.

    folder: the folder, or the file of annotations or data.yaml in it.
    layout: the name of a layout, for a folder that has files of several; None tries all.

    Raises DataError if no layout or several fit, with what was looked for and what was found, or if
    the file that has the annotations is malformed, and ValueError for an unknown layout.
    """
    folder = Path(folder).expanduser()
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, found {layout!r}")
    if not folder.exists():
        raise DataError(f"{folder}: expected the folder of a dataset, found no such folder")
    tried = LAYOUTS if layout is None else {layout: LAYOUTS[layout]}
    found, faults = _fitting(folder, tried)
    if len(found) == 1:
        ((name, splits),) = found.items()
        return Source(name, splits, LAYOUTS[name].has)
    if found:
        fits = "; ".join(f"{name}: {LAYOUTS[name].has}" for name in found)
        raise DataError(
            f"{folder}: expected files of one layout, found those of several ({fits}); choose one "
            "of them by --layout, or name its own folder"
        )
    broken = list(dict.fromkeys([*faults, *malformed_files(folder)]))
    if broken:
        raise DataError(
            f"{folder}: expected the annotations of a dataset, found {len(broken)} malformed "
            f"file{'s' * (len(broken) > 1)}: {first_few(broken)}"
        )
    looks_for = "; ".join(f"{name}: {each.has}" for name, each in tried.items())
    raise DataError(
        f"{folder}: expected one of these layouts: {looks_for}; found {_content(folder)}"
    )


def read_source(source: Source) -> Dict[str, Dataset]:
    """Returns {split: dataset} of a recognised folder, all with the same classes.

    If the splits have other classes, because these are found in the data, each split gets those of
    all splits, in the order in which they appear. Raises the DataError of the reader.
    """
    datasets = {split: DATASETS.build(section) for split, section in source.splits.items()}
    classes = [dataset.class_names for dataset in datasets.values()]
    if len(set(classes)) == 1:
        return datasets
    names = list(dict.fromkeys(itertools.chain.from_iterable(classes)))
    return {
        split: DATASETS.build({**section, "class_names": names})
        for split, section in source.splits.items()
    }


def _fitting(folder: Path, layouts: Mapping[str, Layout]) -> Tuple[Dict[str, Sections], List[str]]:
    """Returns the sections by each layout that fits, and the faults of files that are malformed."""
    found: Dict[str, Sections] = {}
    faults = []
    for name, layout in layouts.items():
        try:
            splits = layout.look(folder)
        except DataError as error:
            faults.append(str(error))
            continue
        if splits:
            found[name] = splits
    return found, faults


def _content(folder: Path) -> str:
    """Returns the first names in a folder for a message."""
    if not folder.is_dir():
        return "a file of another kind"
    paths = itertools.islice(folder.iterdir(), MOST_LISTED)
    names = sorted(f"{path.name}{'/' * path.is_dir()}" for path in paths)
    return first_few(names, LISTED) or "an empty folder"
