"""Reads ImageNet DET (ILSVRC 2013 to 2017): XML files whose classes are synsets, and their names.

The folders are those of ILSVRC2017_DET: Annotations/DET and Data/DET with train and val below, and
ImageSets/DET. ``map_det.txt`` of the development kit names the synsets.
"""

import re
from pathlib import Path
from typing import Dict, Optional

from detkit.data.images import MAX_PIXELS
from detkit.data.names import is_file, path_below
from detkit.data.readers.dataset import FileDataset, Options
from detkit.data.readers.files import require_folder
from detkit.data.readers.lists import Names, text_lines
from detkit.data.readers.records import Record, class_name, read_record
from detkit.data.readers.voc_xml import record_of
from detkit.errors import DataError
from detkit.registry import DATASETS

SUFFIX = ".JPEG"
COUNTER = re.compile(r"\s+-?\d+$")  # the number that follows a name in ImageSets


@DATASETS.register()
class ImageNetDET(FileDataset):
    """The images of a split of ImageNet DET.

    root: the folder that holds Annotations/DET, Data/DET and ImageSets/DET.
    split: the name of a list in ImageSets/DET, whose images lie below the folder of its first word:
        "train", or "train_1" for the positive images of one class, or "val".
    synsets: the path of map_det.txt: a synset, its number and its name in each line.
    class_names: as for every reader, see FileDataset; null: the names of the synsets in their
        order.
    image_list: the path of a text file of the images that are read; null for all.
    max_pixels: the largest number of pixels of an image, data.max_pixels.

    Corners are 0-based and inclusive, and become xmin, ymin, xmax + 1, ymax + 1. An image without
    an XML file, as the negative ones of the training set, has no object.

    Raises DataError if a list is missing or malformed, or if no object is left.
    """

    def __init__(
        self,
        root: str,
        split: str,
        synsets: str,
        class_names: Names = None,
        image_list: Optional[str] = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        folder = Path(root).expanduser()
        below = split.partition("_")[0]
        images = require_folder(folder / "Data/DET" / below, "images")
        annotations = folder / "Annotations/DET" / below
        file = folder / "ImageSets/DET" / f"{split}.txt"
        names = _synsets(Path(synsets).expanduser())
        records = []
        for index, line in enumerate(text_lines(file, f"the list of the split {split!r}"), 1):
            name = COUNTER.sub("", line.strip())
            if name:
                path = path_below(images, f"{name}{SUFFIX}", f"{file}:{index}")
                records.append(_record(path, annotations / f"{name}.xml", f"{name}{SUFFIX}", names))
        found = list(dict.fromkeys(names.values()))
        super().__init__(file, records, found, Options(class_names, image_list, max_pixels))


def _synsets(file: Path) -> Dict[str, str]:
    """Returns {synset: name}. Raises DataError."""
    names = {}
    for index, line in enumerate(text_lines(file, "synsets, numbers and names"), 1):
        words = line.split(maxsplit=2)
        if not words:
            continue
        if len(words) != 3:
            raise DataError(f"{file}:{index}: expected a synset, a number, a name, found {line!r}")
        names[words[0]] = class_name(words[2], f"{file}:{index}")
    if not names:
        raise DataError(f"{file}: expected synsets, numbers and names, found none")
    return names


def _record(path: Path, xml: Path, name: str, names: Dict[str, str]) -> Record:
    def read() -> Record:
        if not is_file(xml):
            return Record(name, path)
        record = record_of(name, path, xml, first_pixel=0)
        things = [t._replace(name=names.get(t.name, t.name)) for t in record.things]
        return record._replace(things=things)

    return read_record(name, path, read)
