"""Reads a folder of images with XML files in VOC's format, beside them or apart, without ImageSets.

LabelImg, CVAT and Roboflow write such folders. The annotation of ``a.jpg`` is ``a.xml``.
"""

from pathlib import Path
from typing import Dict, List, Optional

from detkit.data.images import MAX_PIXELS
from detkit.data.readers.dataset import FileDataset, Options
from detkit.data.readers.files import files_below, images_below, name_below, require_folder
from detkit.data.readers.lists import Names
from detkit.data.readers.records import Record, read_record
from detkit.data.readers.voc_xml import record_of
from detkit.errors import DataError
from detkit.registry import DATASETS


@DATASETS.register()
class VOCFolder(FileDataset):
    """The images of a folder, each with an XML file in VOC's format.

    images: the folder of the images, which may have folders.
    annotations: the folder of the XML files, with the same names; null: beside the images.
    class_names: as for every reader, see FileDataset; null: the names in the data, sorted.
    image_list: the path of a text file of the images that are read; null for all.
    max_pixels: the largest number of pixels of an image, data.max_pixels.

    Corners are VOC's, 1-based and inclusive, and become x1 - 1, y1 - 1, x2, y2. A box whose corners
    coincide is dropped. Objects marked difficult are ignored in training and evaluation. An image
    without an XML file has no object. An XML file without an image is a bad image.

    Raises DataError if there is no XML file, or if no object is left.
    """

    def __init__(
        self,
        images: str,
        annotations: Optional[str] = None,
        class_names: Names = None,
        image_list: Optional[str] = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        folder = Path(images).expanduser()
        apart = folder if annotations is None else Path(annotations).expanduser()
        files = files_below(require_folder(apart, "XML files"), (".xml",))
        if not files:
            raise DataError(f"{apart}: expected XML files in VOC's format, found none")
        by_stem = {name_below(file.with_suffix(""), apart): file for file in files}
        records = _records(folder, by_stem)
        super().__init__(apart, records, None, Options(class_names, image_list, max_pixels))


def _records(folder: Path, by_stem: Dict[str, Path]) -> List[Record]:
    """Returns a Record for each image, and for each XML file that has none."""
    records, left = [], dict(by_stem)
    for path in images_below(folder):
        name, stem = name_below(path, folder), name_below(path.with_suffix(""), folder)
        xml = by_stem.get(stem)
        left.pop(stem, None)
        records.append(_record(name, path, xml))
    for stem, xml in left.items():
        fault = f"{xml}: expected an image of this name in {folder}, found none"
        records.append(Record(stem, folder / stem, fault=fault))
    return records


def _record(name: str, path: Path, xml: Optional[Path]) -> Record:
    return (
        Record(name, path)
        if xml is None
        else read_record(name, path, lambda: record_of(name, path, xml))
    )
