"""Writes a checkpoint as files that need none of detkit's models: for Python and for C++."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from detkit import load, load_exported
from detkit.build import build_dataset
from detkit.cli import common_arguments, positive, run
from detkit.config import load_config
from detkit.data.images import decode_image, list_images
from detkit.errors import ExportError
from detkit.export.calibrate import ENTROPY, NAIVE
from detkit.export.compare import TOLERANCE, build_program, compare, run_onnx, run_program
from detkit.export.manifest import sha256_of
from detkit.export.onnx import save
from detkit.export.precision import BFloat16, Float32, Int8, examples_of
from detkit.export.quantize import KEEP
from detkit.export.symbol import check_folder, export
from detkit.runner.checkpoint import WEIGHTS

ROOT = Path(__file__).resolve().parents[1]
ONNX, REPORT = "model.onnx", "quantization.json"
CALIBRATION = 32  # images


def main(argv=None):
    """Export; with --check, an error if what was written finds anything else."""
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
    parser.add_argument("--onnx", action="store_true", help=f"write {ONNX} as well")
    precision_arguments(parser)
    parser.add_argument(
        "--check",
        metavar="IMAGE",
        nargs="+",
        default=[],
        help="compare what the network, the files, the C++ program and ONNX Runtime find in these",
    )
    args = parser.parse_args(argv)
    if (args.calib or args.calib_mode) and not args.int8:
        parser.error("--calib and --calib-mode are for --int8")
    if args.keep is not None and not (args.int8 or args.bf16):
        parser.error("--keep is for --int8 and --bf16")
    check_folder(args.out)
    images = [decode_image(path) for path in list_images(args.check)]
    detector = load(load_config(args.config, args.overrides), args.checkpoint, device="cpu")
    sha256 = sha256_of(os.path.join(args.checkpoint, WEIGHTS))
    precision = precision_of(args, detector)
    manifest = export(detector, args.out, args.ops, sha256, precision)
    names = [*manifest.files, *write_onnx(detector, args.out, args.onnx)]
    names += write_report(args.out, precision)
    for name in names:
        size = os.path.getsize(os.path.join(args.out, name))
        print(f"written: {os.path.join(args.out, name)}, {size / 1e6:.1f} MB")
    if images:
        check(detector, args.out, images)


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
        "--keep",
        nargs="*",
        metavar="LAYER",
        help='layers that stay float32: names, their beginnings, patterns with *, "first", '
        f'"final" (default: {" ".join(KEEP)} for --int8, none for --bf16)',
    )


def precision_of(args, detector):
    """What the arguments say of the layers' numbers."""
    if args.bf16:
        return BFloat16(args.keep or ())
    if not args.int8:
        return Float32()
    dataset = build_dataset(detector.config, "train")
    examples = examples_of(detector, dataset, args.calib or CALIBRATION)
    keep = KEEP if args.keep is None else args.keep
    return Int8(examples, args.calib_mode or NAIVE, keep)


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


def write_onnx(detector, folder, wanted):
    """The name of the ONNX model, written beside the other files; one of an earlier export goes."""
    path = os.path.join(folder, ONNX)
    if os.path.exists(path):
        os.remove(path)
    if wanted:
        save(detector, path)
    return [ONNX] if wanted else []


def check(detector, folder, images):
    """Print how far each way of running the network is from the Python code; ExportError above
    the tolerance. With fewer bits that is no error, but the C++ program must find what the symbol
    finds."""
    detector.model.hybridize(False)
    expected = [detector.detect(image) for image in images]
    exported = load_exported(folder, device="cpu")
    exact = exported.manifest.precision == Float32.name
    symbol = [exported.detect(image) for image in images]
    ways = {"symbol": (expected, symbol)}
    if shutil.which("cmake"):
        program = build_program(ROOT / "tools/deploy", ROOT / "build/deploy")
        found = run_program(program, folder, images, exported.class_names)
        ways["C++"] = (expected if exact else symbol, found)
    else:
        print("C++: not compared, cmake is not on PATH")
    path = os.path.join(folder, ONNX)
    if os.path.exists(path):
        ways["ONNX"] = (expected, run_onnx(path, exported, images))
    count = sum(len(found.boxes) for found in expected)
    beside = "" if exact else ", of C++ from the symbol"
    print(f"{len(images)} images, {count} detections; largest difference from Python{beside}:")
    differences = {way: compare(*pair) for way, pair in ways.items()}
    for way, difference in differences.items():
        print(f"  {way:8} {difference}")
    judged = [way for way in ways if exact or way != "symbol"]
    bad = [way for way in judged if differences[way].exceeds(TOLERANCE)]
    if bad:
        raise ExportError(f"{' and '.join(bad)} differ by more than {TOLERANCE}")


if __name__ == "__main__":
    sys.exit(run(main))
