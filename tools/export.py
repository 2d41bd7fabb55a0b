"""Exports a checkpoint as files that need none of detkit's models, for Python and for C++."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np

from detkit import load, load_exported
from detkit.build import build_dataset, build_proposals, open_config
from detkit.checkpoints import WEIGHTS, folder_of
from detkit.cli import common_arguments, positive, proposals_argument, run
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
from detkit.export.manifest import ANY, VNNI
from detkit.export.onnx import save, save_int8
from detkit.export.precision.calibrate import ENTROPY, NAIVE
from detkit.export.precision.precisions import BFloat16, Float32, Int8, examples_of
from detkit.export.precision.quantize import KEEP
from detkit.export.symbol import check_folder, export
from detkit.files.disk import sha256_of

ROOT = Path(__file__).resolve().parents[1]
ONNX, ONNX_INT8, REPORT = "model.onnx", "model-int8.onnx", "quantization.json"
CALIBRATION = 32  # images


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Exports; with --check, raises ExportError if an exported file finds something else."""
    args = parsed(argv)
    check_folder(args.out)
    paths = list_images(args.check)
    images = [decode_image(path) for path in paths]
    detector = load(open_config(args.config, args.overrides), args.checkpoint, device="cpu")
    proposals = proposals_of_check(args, paths, detector)
    calibration = calibration_of(args, detector) if args.int8 else None
    precision = precision_of(args, detector, calibration)
    sha256 = sha256_of(os.path.join(folder_of(args.checkpoint), WEIGHTS))
    manifest = export(detector, args.out, args.ops, sha256, precision)
    remove_optional_files(args.out)
    names = list(manifest.files)
    if isinstance(precision, Int8):
        print(precision.report.table())
        write_text(os.path.join(args.out, REPORT), precision.report.text())
        names.append(REPORT)
    if args.onnx:
        save(detector, os.path.join(args.out, ONNX))
        names.append(ONNX)
    if args.onnx and calibration:
        save_int8(detector, os.path.join(args.out, ONNX_INT8), *calibration)
        names.append(ONNX_INT8)
    for name in names:
        path = os.path.join(args.out, name)
        print(f"written: {path}, {os.path.getsize(path) / 1e6:.1f} MB")
    if images:
        check(detector, args.out, images, proposals)


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="the folder of a checkpoint")
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="a new folder, or one of an earlier export"
    )
    parser.add_argument(
        "--ops",
        choices=("native", "mxnet"),
        default="native",
        help="native: detkit's operators, compiled for this kind of machine (the default); mxnet: "
        "operators of MXNet alone",
    )
    parser.add_argument(
        "--onnx", action="store_true", help=f"also write {ONNX} and, with --int8, {ONNX_INT8}"
    )
    precision_arguments(parser)
    parser.add_argument(
        "--check",
        metavar="IMAGE",
        nargs="+",
        default=[],
        help="compare the detections of the exported files, in Python, in the C++ program and in "
        "ONNX Runtime, with those of the checkpoint in these images",
    )
    proposals_argument(parser)
    args = parser.parse_args(argv)
    if (args.calib or args.calib_mode or args.int8_for) and not args.int8:
        parser.error("--calib, --calib-mode and --int8-for are for --int8")
    if args.keep is not None and not (args.int8 or args.bf16):
        parser.error("--keep is for --int8 and --bf16")
    if args.proposals and not args.check:
        parser.error("--proposals is for --check")
    return args


def precision_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that choose the numbers of the layers."""
    fewer_bits = parser.add_mutually_exclusive_group()
    fewer_bits.add_argument(
        "--int8", action="store_true", help="layers with 8-bit numbers, on CPUs"
    )
    fewer_bits.add_argument(
        "--bf16", action="store_true", help="layers with bfloat16 numbers, on CPUs that have them"
    )
    parser.add_argument(
        "--calib",
        type=positive,
        metavar="N",
        help=f"images of data.train that --int8 is calibrated by; default: {CALIBRATION}",
    )
    parser.add_argument(
        "--calib-mode",
        choices=(NAIVE, ENTROPY),
        help=f"{NAIVE}: 8 bits cover all values in the images (the default); {ENTROPY}: rare large "
        "values are clipped",
    )
    parser.add_argument(
        "--int8-for",
        choices=(ANY, VNNI),
        help=f"{ANY}: for every CPU, with the same results (the default); {VNNI}: for CPUs with "
        "VNNI alone, one bit more precise there and wrong elsewhere",
    )
    parser.add_argument(
        "--keep",
        nargs="*",
        metavar="LAYER",
        help='layers that stay float32: names, their beginnings, patterns with *, "first", '
        f'"final"; default: {" ".join(KEEP)} for --int8, none for --bf16',
    )


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


def calibration_of(args: argparse.Namespace, detector: Detector) -> Calibration:
    """Returns the Calibration that the arguments describe."""
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
    for name in (REPORT, ONNX, ONNX_INT8):
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
    expected = [detector.detect(*pair) for pair in zip(images, proposals)]
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
    exact = exported.manifest.precision == Float32.name
    symbol = [exported.detect(*pair) for pair in zip(images, proposals)]
    ways = [Way("symbol", expected, symbol, judged=exact)]
    if exported.takes_proposals:
        print("C++: not compared, it takes no proposals")
    elif shutil.which("cmake"):
        program = build_program(ROOT / "tools/deploy", ROOT / "build/deploy")
        found = run_program(program, folder, images, exported.class_names)
        ways.append(Way("C++", expected if exact else symbol, found, judged=True))
    else:
        print("C++: not compared, cmake is not on PATH")
    for name, file in (("ONNX", ONNX), ("ONNX INT8", ONNX_INT8)):
        path = os.path.join(folder, file)
        if os.path.exists(path):
            given = proposals if exported.takes_proposals else None
            found = run_onnx(path, exported, images, given)
            ways.append(Way(name, expected, found, judged=file == ONNX))
    return ways


if __name__ == "__main__":
    sys.exit(run(main))
