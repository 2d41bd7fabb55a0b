"""Exports a checkpoint as files that need none of detkit's models: ``detkit export``."""

import argparse
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from detkit import load, load_exported, shipped
from detkit.build import build_dataset, build_proposals, open_config
from detkit.checkpoints import WEIGHTS, folder_of
from detkit.commands.arguments.export import CALIBRATION
from detkit.commands.sources import model_of
from detkit.data import Dataset, proposals_of_files
from detkit.data.images import decode_image, list_images
from detkit.detections import Detections
from detkit.detector import Detector
from detkit.errors import ExportError
from detkit.export.check import (
    TOLERANCE,
    build_program,
    compare,
    run_onnx,
    run_program,
)
from detkit.export.manifest import ANY, parse_manifest
from detkit.export.onnx import save, save_int8, save_nncf
from detkit.export.precision.calibrate import NAIVE
from detkit.export.precision.precisions import BFloat16, Float32, Int8, examples_of
from detkit.export.precision.quantize import KEEP
from detkit.export.runtimes.names import ONNX, ONNX_INT8, ONNX_NNCF
from detkit.export.symbol import check_folder, export
from detkit.files.disk import cache_folder, sha256_of

REPORT = "quantization.json"


def main(args: argparse.Namespace) -> None:
    """Exports; with --check, raises ExportError if an exported file finds something else."""
    check_folder(args.out)
    paths = list_images(args.check)
    images = [decode_image(path) for path in paths]
    args.config, args.checkpoint = model_of(args)
    detector = load(open_config(args.config, args.overrides), args.checkpoint, device="cpu")
    proposals = proposals_of_check(args, paths, detector)
    calibration = calibration_of(args, detector) if args.int8 else None
    precision = precision_of(args, detector, calibration)
    sha256 = sha256_of(os.path.join(folder_of(args.checkpoint), WEIGHTS))
    manifest = export(detector, args.out, args.ops, sha256, precision)
    remove_optional_files(args.out)
    names = list(manifest.files)
    if isinstance(precision, Int8) and precision.report:
        print(precision.report.table())
        write_text(os.path.join(args.out, REPORT), precision.report.text())
        names.append(REPORT)
    if args.onnx:
        save(detector, os.path.join(args.out, ONNX))
        names.append(ONNX)
    if args.onnx and calibration:
        save_int8(detector, os.path.join(args.out, ONNX_INT8), *calibration)
        names.append(ONNX_INT8)
    if args.nncf and calibration:
        save_nncf(detector, os.path.join(args.out, ONNX_NNCF), *calibration.of_nncf())
        names.append(ONNX_NNCF)
    for name in names:
        path = os.path.join(args.out, name)
        print(f"written: {path}, {os.path.getsize(path) / 1e6:.1f} MB")
    if images:
        check(detector, args.out, images, proposals)


class Calibration(NamedTuple):
    """The images and the rules by which layers get 8 bits, in the symbol and in ONNX alike.

    The fields are the arguments of save_int8.
    """

    dataset: Dataset
    images: int
    mode: str
    keep: Sequence[str]
    cpus: str
    proposals: Optional[Mapping[Any, Any]] = None  # of the dataset, if the network takes them

    def of_nncf(self) -> Tuple[Any, ...]:
        """Returns the arguments of save_nncf, which chooses the ranges itself."""
        return self.dataset, self.images, self.keep, self.cpus, self.proposals


def calibration_of(args: argparse.Namespace, detector: Detector) -> Calibration:
    """Returns the Calibration that the arguments describe."""
    assert detector.config is not None  # load gives it
    dataset = build_dataset(detector.config, "train")
    return Calibration(
        dataset,
        args.calib or CALIBRATION,
        args.calib_mode or NAIVE,
        KEEP if args.keep is None else args.keep,
        args.int8_for or ANY,
        build_proposals(detector.config, "train", dataset),
    )


def precision_of(
    args: argparse.Namespace, detector: Detector, calibration: Optional[Calibration]
) -> Union[Float32, BFloat16, Int8]:
    """Returns the precision of the symbol's layers, Int8 with a Calibration."""
    if args.bf16:
        return BFloat16(args.keep or ())
    if calibration is None:
        return Float32()
    examples = examples_of(detector, calibration.dataset, calibration.images, calibration.proposals)
    return Int8(examples, calibration.mode, calibration.keep, calibration.cpus)


def remove_optional_files(folder: str) -> None:
    """Removes the files that an earlier export may have written and this one may not write."""
    for name in (REPORT, ONNX, ONNX_INT8, ONNX_NNCF):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            os.remove(path)


def write_text(path: str, text: str) -> None:
    """Writes a text file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


# ------------------------------------------------------------------------------------- --check


class Way(NamedTuple):
    """One way to run an export: its detections, and those that it should find.

    judged: whether a difference above the tolerance is an error.
    """

    name: str
    expected: List[Detections]
    found: List[Detections]
    judged: bool


def proposals_of_check(
    args: argparse.Namespace, paths: Sequence[str], detector: Detector
) -> Sequence[Optional[np.ndarray]]:
    """Returns boxes (R, 4) for each image of --check, or None for each if none are needed."""
    if not paths:
        return []
    needed = detector.takes_proposals
    proposals = proposals_of_files(args.proposals, paths, needed, detector.name)
    return proposals or [None] * len(paths)


def check(
    detector: Detector,
    folder: str,
    images: Sequence[np.ndarray],
    proposals: Sequence[Optional[np.ndarray]],
) -> None:
    """Prints how far each way to run an export is from the checkpoint.

    proposals: boxes (R, 4) of each image, or None for each if the network takes none.

    Raises ExportError if a judged way differs by more than TOLERANCE.
    """
    detector.model.hybridize(False)
    expected = [detector.detect(*pair, score=0) for pair in zip(images, proposals)]
    ways = ways_to_run(folder, images, proposals, expected)
    differences = [compare(way.expected, way.found) for way in ways]
    count = sum(len(image.boxes) for image in expected)
    symbol, *_ = ways
    beside = "" if symbol.judged else ", of C++ from the symbol"
    print(f"{len(images)} images, {count} detections; largest difference from Python{beside}:")
    width = max(8, *(len(way.name) for way in ways))
    for way, difference in zip(ways, differences):
        print(f"  {way.name:{width}} {difference}")
    bad = [
        f"{way.name}: expected a difference up to {TOLERANCE}, found {difference}"
        for way, difference in zip(ways, differences)
        if way.judged and difference.exceeds(TOLERANCE)
    ]
    if bad:
        raise ExportError("\n".join(bad))


def ways_to_run(
    folder: str,
    images: Sequence[np.ndarray],
    proposals: Sequence[Optional[np.ndarray]],
    expected: List[Detections],
) -> List[Way]:
    """Runs an export in every way that this machine can; returns the ways.

    A symbol with fewer bits may differ from the checkpoint. The C++ program must then find what
    the symbol finds.
    """
    exported = load_exported(folder, device="cpu")
    exact = parse_manifest(folder).precision == Float32.name
    symbol = [exported.detect(*pair, score=0) for pair in zip(images, proposals)]
    ways = [Way("symbol", expected, symbol, judged=exact)]
    if exported.takes_proposals:
        print("C++: not compared, it takes no proposals")
    elif shutil.which("cmake"):
        program = build_program(*deploy_folders())
        found = run_program(program, folder, images, exported.class_names)
        ways.append(Way("C++", expected if exact else symbol, found, judged=True))
    else:
        print("C++: not compared, cmake is not on PATH")
    for name, file in (("ONNX", ONNX), ("ONNX INT8", ONNX_INT8), ("NNCF", ONNX_NNCF)):
        path = os.path.join(folder, file)
        if os.path.exists(path):
            given = [boxes for boxes in proposals if boxes is not None]
            found = run_onnx(path, exported, images, given or None)
            ways.append(Way(name, expected, found, judged=file == ONNX))
    return ways


def deploy_folders() -> Tuple[Path, Path]:
    """Returns the folder of the C++ program's sources, and the one that it is built in.

    The checkout has build/. An installed package is built in the cache, for each folder of sources
    apart, because CMake refuses a folder that other sources were built in.
    """
    sources = shipped.folder(shipped.DEPLOY)
    if shipped.in_checkout():
        return sources, sources.parents[1] / "build/deploy"
    installation = hashlib.sha256(os.fsencode(sources)).hexdigest()[:12]
    return sources, cache_folder("deploy") / installation
