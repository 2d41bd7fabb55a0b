"""The readers under test: each reads the folder of a case as a user's command would."""

import contextlib
import hashlib
import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Sequence

import numpy as np

from detkit.checkpoints import load_checkpoint
from detkit.config import dump_config, load_config, to_plain
from detkit.data import (
    COCO,
    CSV,
    CVAT,
    VOC,
    YOLO,
    ImageNetDET,
    JSONLines,
    LabelMe,
    LabelStudio,
    OpenImages,
    RecordIO,
    Shapes,
    VOCFolder,
)
from detkit.data.images import check_image_file, decode_image
from detkit.data.keypoints import FIELD
from detkit.data.one_class import OneClass
from detkit.data.recognise import recognise
from detkit.detections.proposal_files import read_proposals
from detkit.detections.results import load_results
from detkit.errors import DataError
from detkit.evaluate import COCOEvaluator
from detkit.export.onnx_manifest import read_onnx_manifest
from detkit.export.runtimes.by_mxnet import load_exported
from detkit.weights import from_caffe2, is_caffe2, read_weights

DATASET = Shapes(length=2, size=(32, 32))
IMAGE = np.full((48, 48, 3), 90, np.uint8)


class Format(NamedTuple):
    """A format: its reader, and the files that are mutated, the first of them most often."""

    read: Callable[[Path], Any]
    mutable: Sequence[str]


def read_config(folder: Path) -> None:
    """Reads a config, writes it, and reads it again: the values must be the same."""
    values = to_plain(load_config(folder / "a.yaml"))
    (folder / "dumped.yaml").write_text(dump_config(values), encoding="utf-8")
    again = to_plain(load_config(folder / "dumped.yaml"))
    if repr(again) != repr(values):
        raise AssertionError(f"round trip: {values!r:.200} became {again!r:.200}")


def read_voc(folder: Path) -> None:
    """Reads a dataset and its images."""
    _visit(VOC(str(folder), ["train"], class_names=["cat", "dog"]))


def read_coco(folder: Path) -> None:
    """Reads a dataset, its images, masks and keypoints."""
    dataset = COCO(str(folder / "a.json"), str(folder / "images"))
    _visit(dataset)
    for index in range(len(dataset)) if dataset.keypoint_names else ():
        dataset.field(FIELD, index).mirror(1, 64).array(len(dataset.annotation(index).boxes))


def dataset_reader(build: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Returns a function that looks for the layout of a folder, and reads it by ``build``."""

    def read(folder: Path) -> None:
        with contextlib.suppress(DataError):
            recognise(folder)
        _visit(build(folder))

    return read


def _visit(dataset: Any) -> None:
    for index in range(len(dataset)):
        text = f"{dataset.annotation(index)} {dataset.class_names} {dataset.dropped}"
        text.encode("utf-8")
        dataset.image(index)
        with contextlib.suppress(DataError):  # of a dataset with masks of some objects alone
            dataset.masks(index)


def read_image(folder: Path) -> None:
    """Checks and decodes an image."""
    (path,) = folder.iterdir()
    check_image_file(path)
    decode_image(path)


def read_results(folder: Path) -> None:
    """Reads and evaluates results."""
    found = load_results(folder / "a.json", DATASET)
    COCOEvaluator(sigmas=0.1)(DATASET, found)
    for detections in found.values():
        for index in range(len(detections.boxes)):
            if detections.has_masks:
                detections.rle(index)


def read_the_proposals(folder: Path) -> None:
    """Reads proposals of a dataset."""
    (path,) = folder.iterdir()
    read_proposals(path, OneClass(DATASET))


def read_arrays(folder: Path) -> None:
    """Reads a file of weights, and every element in it."""
    (path,) = folder.iterdir()
    arrays = read_weights(path)
    for array in (from_caffe2(arrays) if is_caffe2(arrays) else arrays).values():
        array.sum()


def read_checkpoint(folder: Path) -> None:
    """Reads a checkpoint and restores the random states."""
    load_checkpoint(str(folder), restore_random=True)


def read_export(folder: Path) -> None:
    """Loads an export and detects in an image."""
    load_exported(str(folder), device="cpu").detect(IMAGE)


def read_onnx(folder: Path) -> None:
    """Reads an .onnx as far as detkit itself does."""
    read_onnx_manifest(folder / "a.onnx")


FORMATS: Dict[str, Format] = {
    "config": Format(read_config, ("a.yaml", "b.yaml")),
    "voc": Format(read_voc, ("Annotations/a.xml", "ImageSets/Main/train.txt")),
    "coco": Format(read_coco, ("a.json",)),
    "yolo": Format(dataset_reader(lambda f: YOLO(str(f))), ("train/labels/b.txt", "data.yaml")),
    "labelme": Format(dataset_reader(lambda f: LabelMe(str(f))), ("b.json",)),
    "cvat": Format(
        dataset_reader(lambda f: CVAT(str(f / "annotations.xml"), str(f / "images"))),
        ("annotations.xml",),
    ),
    "labelstudio": Format(
        dataset_reader(lambda f: LabelStudio(str(f / "export.json"), str(f / "images"))),
        ("export.json",),
    ),
    "openimages": Format(
        dataset_reader(
            lambda f: OpenImages(
                str(f / "boxes.csv"), str(f / "images"), str(f / "class-descriptions.csv")
            )
        ),
        ("boxes.csv", "class-descriptions.csv"),
    ),
    "csv": Format(dataset_reader(lambda f: CSV(str(f / "boxes.csv"))), ("boxes.csv",)),
    "jsonl": Format(dataset_reader(lambda f: JSONLines(str(f / "boxes.jsonl"))), ("boxes.jsonl",)),
    "recordio": Format(
        dataset_reader(lambda f: RecordIO(str(f / "all.rec"))), ("all.rec", "all.idx", "all.json")
    ),
    "voc-folder": Format(dataset_reader(lambda f: VOCFolder(str(f))), ("a.xml", "b.xml")),
    "imagenet": Format(
        dataset_reader(lambda f: ImageNetDET(str(f), "val", str(f / "map_det.txt"))),
        ("Annotations/DET/val/a.xml", "ImageSets/DET/val.txt", "map_det.txt"),
    ),
    "images": Format(read_image, ()),
    "results": Format(read_results, ("a.json",)),
    "proposals": Format(read_the_proposals, ()),
    "mat": Format(read_the_proposals, ()),
    "pth": Format(read_arrays, ()),
    "pkl": Format(read_arrays, ()),
    "params": Format(read_arrays, ()),
    "safetensors": Format(read_arrays, ()),
    "checkpoint": Format(read_checkpoint, ()),
    "export": Format(read_export, ("model-symbol.json", "model.json", "model-0000.params")),
    "onnx": Format(read_onnx, ()),
}


def fit_hashes(files: Dict[str, bytes]) -> None:
    """Writes the right sha256 of every file into the lists of a checkpoint or an export."""
    if "SHA256SUMS" in files:
        names = re.findall(r"^\S+  (\S+)$", files["SHA256SUMS"].decode("ascii", "replace"), re.M)
        lines = [f"{_sha256(files[name])}  {name}\n" for name in names if name in files]
        files["SHA256SUMS"] = "".join(lines).encode()
    if "model.json" in files:
        try:
            manifest = json.loads(files["model.json"])
            known = {name: _sha256(files[name]) for name in manifest["files"] if name in files}
            manifest["files"].update(known)
            files["model.json"] = json.dumps(manifest).encode()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return  # a mutated manifest stays as it is


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
