"""Reads YOLO's layout: a text file beside each image, with a line for each object.

A line is ``class cx cy w h`` or, for a mask, ``class x1 y1 x2 y2 x3 y3 ...``, in shares of the
image's width and height (Darknet's labels, and the detection and segmentation datasets of
Ultralytics). The labels of ``images/train/a.jpg`` are ``labels/train/a.txt``, or ``a.txt`` beside
the image. ``data.yaml`` names the classes and the folders of the splits; Roboflow's exports have
the folders train, valid and test, each with images and labels.
"""

from pathlib import Path, PurePosixPath
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import yaml

from detkit.data.images import MAX_PIXELS
from detkit.data.names import is_file, is_folder, path_below
from detkit.data.readers.dataset import FileDataset, Options
from detkit.data.readers.files import images_below, name_below
from detkit.data.readers.lists import CLASS_FILE, Names, given_classes, text_lines
from detkit.data.readers.records import Record, Thing, class_name, number, read_record
from detkit.errors import DataError
from detkit.registry import DATASETS

SETTINGS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
CLASS_FILES = (CLASS_FILE, f"labels/{CLASS_FILE}", "obj.names")
SPLITS = {"val": ("val", "valid", "validation")}  # a split -> its names in files and folders
LARGEST_SETTINGS = 1 << 17  # bytes; PyYAML needs seconds for a megabyte
LEAST_POLYGON = 7  # numbers of a line: the class and three corners


class Settings(NamedTuple):
    """The content of a data.yaml, or of the folder that has none.

    folder: the folder of the dataset, below which all images lie.
    class_names: None if no file names the classes.
    values: the keys of the file.
    keypoints: the numbers of a line that are keypoints, which are not read.
    """

    folder: Path
    class_names: Optional[Tuple[str, ...]]
    values: Dict[str, Any]
    keypoints: int


@DATASETS.register()
class YOLO(FileDataset):
    """The images of a split in YOLO's layout.

    root: the folder, or the path of its data.yaml.
    split: "train", "val", "test", or another key of data.yaml or folder; null for all of a folder
        ``images`` without splits.
    class_names: as for every reader, see FileDataset; if no file names the classes, these are the
        names of the classes 0, 1, 2, ...
    image_list: the path of a text file of the images that are read; null for all of the split.
    max_pixels: the largest number of pixels of an image, data.max_pixels.

    An image without a text file has no object. A polygon is the object's mask, and the box is the
    one around it. The keypoints of a file with ``kpt_shape`` are not read. Paths in data.yaml that
    lead elsewhere are looked for by their last folders below the folder of data.yaml.

    Raises DataError if the split is not there, no class is named, or no object is left.
    """

    def __init__(
        self,
        root: str,
        split: Optional[str] = "train",
        class_names: Names = None,
        image_list: Optional[str] = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        settings = read_settings(Path(root).expanduser())
        names = settings.class_names or given_classes(class_names)
        if names is None:
            raise DataError(
                f"{settings.folder}: expected the names of the classes in {SETTINGS[0]} or "
                f"{CLASS_FILE}, found none; add the file, or set class_names"
            )
        images, base = split_images(settings, split)
        records = (_record(path, base, names, settings) for path in images)
        options = Options(class_names, image_list, max_pixels)
        super().__init__(settings.folder, records, names, options)


def read_settings(root: Path) -> Settings:
    """Returns the settings of a folder, or of a data.yaml. Raises DataError."""
    file = root if root.suffix in (".yaml", ".yml") else None
    folder = root.parent if file else root
    file = file or next((folder / name for name in SETTINGS if is_file(folder / name)), None)
    if file is None:
        listed = next((folder / name for name in CLASS_FILES if is_file(folder / name)), None)
        if listed is None:
            return Settings(folder, None, {}, 0)
        lines = [line for line in text_lines(listed, "names of classes") if line.strip()]
        return Settings(folder, _class_names(listed, lines), {}, 0)
    values = _read_yaml(file)
    below = values.get("path")
    if isinstance(below, str) and below and not below.startswith(("/", "..")):
        folder = folder / below if is_folder(folder / below) else folder
    return Settings(folder, _class_names(file, values.get("names")), values, _keypoints(values))


def split_images(settings: Settings, split: Optional[str]) -> Tuple[List[Path], Path]:
    """Returns the images of a split and the folder below which they have their names.

    Raises DataError.
    """
    folder, keys = settings.folder, SPLITS.get(split, (split,)) if split else ()
    entry = next((settings.values[key] for key in keys if settings.values.get(key)), None)
    if entry is None:
        below = [f"{each}/images" for each in keys] + [f"images/{each}" for each in keys]
        below = [*below, *keys] if split else ["images", "."]
        found = next((folder / each for each in below if is_folder(folder / each)), None)
        if found is None:
            known = f"data.yaml has {', '.join(settings.values) or 'no key'}"
            raise DataError(
                f"{folder}: expected the images of the split {split!r} in one of the folders "
                f"{', '.join(below)}, found none of them; {known}"
            )
        return images_below(found), found
    entries = entry if isinstance(entry, list) else [entry]
    places = [_place(folder, each, f"{folder}: {split}") for each in entries]
    if len(places) == 1 and is_folder(places[0]):
        return images_below(places[0]), places[0]
    each = [images_below(p) if is_folder(p) else _listed(p, folder) for p in places]
    return [path for paths in each for path in paths], folder


def _read_yaml(file: Path) -> Dict[str, Any]:
    """Returns the mapping of a YAML file, whose scalars are all text."""
    try:
        with open(file, "rb") as stream:
            text = stream.read(LARGEST_SETTINGS + 1)
        if len(text) > LARGEST_SETTINGS:
            raise DataError(f"{file}: expected at most {LARGEST_SETTINGS} bytes, found more")
        # The base loader makes no objects, and has no merge keys, which grow exponentially.
        values = yaml.load(text, yaml.BaseLoader)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise DataError(f"{file}{line}: malformed YAML: {problem}") from error
    if not isinstance(values, dict):
        raise DataError(f"{file}: expected a mapping with names and splits, found {values!r:.100}")
    return values


def _class_names(file: Path, names: Any) -> Tuple[str, ...]:
    """Returns the names of the classes 0, 1, ...: those of a list, or of a mapping {0: name}."""
    where = f"{file}: names"
    if isinstance(names, dict):
        keys = [str(index) for index in range(len(names))]
        if set(names) != set(keys):
            found = f"{list(names)!r:.200}"
            raise DataError(f"{where}: expected the keys 0 to {len(keys) - 1}, found {found}")
        names = [names[key] for key in keys]
    if not isinstance(names, list) or not names:
        raise DataError(f"{where}: expected a list of class names, found {names!r:.200}")
    names = [class_name(name, where) for name in names]
    if len(set(names)) < len(names):
        raise DataError(f"{where}: expected names that differ, found {names!r:.200}")
    return tuple(names)


def _keypoints(values: Dict[str, Any]) -> int:
    """Returns how many numbers of a line are keypoints, by ``kpt_shape: [J, 2 or 3]``."""
    shape = values.get("kpt_shape")
    if not isinstance(shape, list) or len(shape) != 2:
        return 0
    counts = [int(n) for n in shape if isinstance(n, str) and n.isdecimal() and len(n) < 5]
    return counts[0] * counts[1] if len(counts) == 2 else 0


def _place(folder: Path, entry: Any, where: str) -> Path:
    """Returns the folder or list of a split that data.yaml names, below ``folder``.

    Exports name the place where they were made, such as ``../train/images``. Its last parts are
    therefore tried, but not the last one alone, which is ``images`` in every split.
    """
    if not isinstance(entry, str) or "\0" in entry:
        raise DataError(f"{where}: expected the name of a folder or list, found {entry!r:.200}")
    parts = [part for part in entry.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for start in range(max(1, len(parts) - 1)):
        place = folder.joinpath(*parts[start:])
        if is_file(place) or is_folder(place):
            return place
    raise DataError(
        f"{where}: expected a folder of images or a list of them below {folder}, found no {entry!r}"
    )


def _listed(file: Path, folder: Path) -> List[Path]:
    """Returns the images that a text file names, one a line, from its own folder."""
    paths = []
    for index, line in enumerate(text_lines(file, "names of images, one per line"), 1):
        if line.strip():
            name = str(PurePosixPath(line.strip().replace("\\", "/")))
            paths.append(path_below(file.parent, name, f"{file}:{index}"))
    return paths


def _record(path: Path, base: Path, names: Sequence[str], settings: Settings) -> Record:
    name = name_below(path, base)
    labels = labels_of(path, settings.folder)

    def read() -> Record:
        lines = text_lines(labels, "a line for each object") if labels else []
        rows = ((line.split(), f"{labels}:{number}") for number, line in enumerate(lines, 1))
        things = [_thing(row, where, names, settings.keypoints) for row, where in rows if row]
        return Record(name, path, things, relative=True)

    return read_record(name, path, read)


def labels_of(image: Path, folder: Path) -> Optional[Path]:
    """Returns the text file of an image below the folder of a dataset, or None."""
    parts = list(image.relative_to(folder).with_suffix(".txt").parts)
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        parts[last] = "labels"
    candidates = (folder.joinpath(*parts), image.with_suffix(".txt"))
    return next((path for path in candidates if is_file(path)), None)


def _thing(row: Sequence[str], where: str, names: Sequence[str], keypoints: int) -> Thing:
    """Returns the object of a line. Raises DataError."""
    label, *values = (number(text, where) for text in row)
    if not label.is_integer() or label < 0:
        raise DataError(f"{where}: expected the number of a class, found {row[0]!r:.50}")
    name = names[int(label)] if label < len(names) else f"class {label:g}"
    if len(row) == 5 or (keypoints and len(row) == 5 + keypoints):
        x, y, width, height = values[:4]
        return Thing(where, name, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    if len(row) < LEAST_POLYGON or len(row) % 2 == 0:
        raise DataError(
            f"{where}: expected a class and cx cy w h, or a class and x y of three corners or "
            f"more, found {len(row)} numbers"
        )
    return Thing(where, name, segmentation=[values])
