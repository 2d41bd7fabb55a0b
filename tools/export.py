"""Writes a checkpoint as files that need none of detkit's models: for Python and for C++."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from detkit import load, load_exported
from detkit.build import build_dataset, build_proposals, open_config
from detkit.cli import common_arguments, positive, proposals_argument, run
from detkit.data import Dataset, proposals_of_files
from detkit.data.images import decode_image, list_images
from detkit.errors import ExportError
from detkit.export.check import TOLERANCE, build_program, compare, run_onnx, run_program
from detkit.export.manifest import ANY, VNNI
from detkit.export.onnx import save, save_int8
from detkit.export.precision.calibrate import ENTROPY, NAIVE
from detkit.export.precision.precisions import BFloat16, Float32, Int8, examples_of
from detkit.export.precision.quantize import KEEP
from detkit.export.symbol import check_folder, export
from detkit.files.checkpoint import WEIGHTS
from detkit.files.disk import sha256_of

ROOT = Path(__file__).resolve().parents[1]
ONNX, ONNX_INT8, REPORT = "model.onnx", "model-int8.onnx", "quantization.json"
CALIBRATION = 32  # images


def main(argv=None):
    """Export; with --check, an error if what was written finds anything else."""
    args = arguments(argv)
    check_folder(args.out)
    paths = list_images(args.check)
    images = [decode_image(path) for path in paths]
    detector = load(open_config(args.config, args.overrides), args.checkpoint, device="cpu")
    proposals = None
    if images:
        needed = detector.takes_proposals
        proposals = proposals_of_files(args.proposals, paths, needed, detector.name)
    sha256 = sha256_of(os.path.join(args.checkpoint, WEIGHTS))
    calibration = calibration_of(args, detector)
    precision = precision_of(args, detector, calibration)
    manifest = export(detector, args.out, args.ops, sha256, precision)
    names = [*manifest.files, *write_report(args.out, precision)]
    names += write_onnx(detector, args.out, args.onnx, calibration)
    for name in names:
        size = os.path.getsize(os.path.join(args.out, name))
        print(f"written: {os.path.join(args.out, name)}, {size / 1e6:.1f} MB")
    if images:
        check(detector, args.out, images, proposals)


def arguments(argv):
    """The arguments of the command line, which fit each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint's folder")
    parser.add_argument("--out", metavar="DIR", required=True, help="new, or an earlier export")
    parser.add_argument(
        "--ops",
        choices=("native", "mxnet"),
        default="native",
        help="detkit's operators, compiled for this kind of machine, or those every MXNet has",
    )
    parser.add_argument("--onnx", action="store_true", help=f"{ONNX}; --int8: {ONNX_INT8} too")
    precision_arguments(parser)
    parser.add_argument(
        "--check",
        metavar="IMAGE",
        nargs="+",
        default=[],
        help="compare what the network, the files, the C++ program and ONNX Runtime find in these",
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


def precision_arguments(parser):
    """Adds what chooses the layers' numbers."""
    fewer_bits = parser.add_mutually_exclusive_group()
    fewer_bits.add_argument(
        "--int8", action="store_true", help="layers with 8-bit numbers, on CPUs"
    )
    fewer_bits.add_argument(
        "--bf16", action="store_true", help="bfloat16 layers, for CPUs that have it"
    )
    parser.add_argument(
        "--calib",
        type=positive,
        metavar="N",
        help=f"images of data.train that tell the range of the numbers (default: {CALIBRATION})",
    )
    parser.add_argument(
        "--calib-mode",
        choices=(NAIVE, ENTROPY),
        help="the range of all values (the default), or without those that are rare",
    )
    parser.add_argument(
        "--int8-for",
        choices=(ANY, VNNI),
        help="CPUs: any (the default), the same everywhere; or those with VNNI alone, a bit more "
        "precise there and wrong elsewhere",
    )
    parser.add_argument(
        "--keep",
        nargs="*",
        metavar="LAYER",
        help='layers that stay float32: names, their beginnings, patterns with *, "first", '
        f'"final" (default: {" ".join(KEEP)} for --int8, none for --bf16)',
    )


class Calibration(NamedTuple):
    """What decides about 8 bits, in the symbol and in ONNX alike."""

    dataset: Dataset
    count: int
    mode: str
    keep: Sequence[str]
    cpus: str
    proposals: Optional[Mapping[Any, Any]] = None  # of the dataset, where the network takes them


def calibration_of(args, detector):
    """The Calibration that the arguments describe, None without --int8."""
    if not args.int8:
        return None
    dataset = build_dataset(detector.config, "train")
    keep = KEEP if args.keep is None else args.keep
    return Calibration(
        dataset,
        args.calib or CALIBRATION,
        args.calib_mode or NAIVE,
        keep,
        args.int8_for or ANY,
        build_proposals(detector.config, "train", dataset),
    )


def precision_of(args, detector, calibration):
    """What the arguments say of the symbol's layers' numbers."""
    if args.bf16:
        return BFloat16(args.keep or ())
    if calibration is None:
        return Float32()
    images = calibration.dataset, calibration.count
    examples = examples_of(detector, *images, calibration.proposals)
    return Int8(examples, calibration.mode, calibration.keep, calibration.cpus)


def write_report(folder, precision):
    """The name of the report on INT8, printed and written; one of an earlier export goes."""
    path = os.path.join(folder, REPORT)
    if os.path.exists(path):
        os.remove(path)
    if not isinstance(precision, Int8):
        return []
    print(precision.report.table())
    with open(path, "w", encoding="utf-8") as file:
        file.write(precision.report.text())
    return [REPORT]


def write_onnx(detector, folder, wanted, calibration):
    """The names of the ONNX models, written beside the other files; those of an earlier export go.

    With a Calibration there is one of INT8 as well.
    """
    path, int8_path = (os.path.join(folder, name) for name in (ONNX, ONNX_INT8))
    for old in (path, int8_path):
        if os.path.exists(old):
            os.remove(old)
    if not wanted:
        return []
    save(detector, path)
    if calibration is None:
        return [ONNX]
    save_int8(detector, int8_path, *calibration)
    return [ONNX, ONNX_INT8]


def check(detector, folder, images, proposals=None):
    """Print how far each way of running the network is from the Python code; ExportError above
    the tolerance. With fewer bits that is no error, but the C++ program must find what the symbol
    finds, and model.onnx has all its bits."""
    detector.model.hybridize(False)
    given = list(zip(images, proposals or [None] * len(images)))
    expected = [detector.detect(*each) for each in given]
    exported = load_exported(folder, device="cpu")
    exact = exported.manifest.precision == Float32.name
    symbol = [exported.detect(*each) for each in given]
    ways = {"symbol": (expected, symbol)}
    if exported.takes_proposals:
        print("C++: not compared, it takes no proposals")
    elif shutil.which("cmake"):
        program = build_program(ROOT / "tools/deploy", ROOT / "build/deploy")
        found = run_program(program, folder, images, exported.class_names)
        ways["C++"] = (expected if exact else symbol, found)
    else:
        print("C++: not compared, cmake is not on PATH")
    for way, name in (("ONNX", ONNX), ("ONNX INT8", ONNX_INT8)):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            ways[way] = (expected, run_onnx(path, exported, images, proposals))
    count = sum(len(found.boxes) for found in expected)
    beside = "" if exact else ", of C++ from the symbol"
    print(f"{len(images)} images, {count} detections; largest difference from Python{beside}:")
    differences = {way: compare(*pair) for way, pair in ways.items()}
    width = max(8, *map(len, ways))
    for way, difference in differences.items():
        print(f"  {way:{width}} {difference}")
    judged = [way for way in ways if exact or way not in ("symbol", "ONNX INT8")]
    bad = [way for way in judged if differences[way].exceeds(TOLERANCE)]
    if bad:
        raise ExportError(f"{' and '.join(bad)} differ by more than {TOLERANCE}")


if __name__ == "__main__":
    sys.exit(run(main))
