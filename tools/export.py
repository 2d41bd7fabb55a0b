"""Writes a checkpoint as files that need none of detkit's models: for Python and for C++."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from detkit import load, load_exported
from detkit.cli import common_arguments, run
from detkit.config import load_config
from detkit.data.images import decode_image, list_images
from detkit.errors import ExportError
from detkit.export.compare import TOLERANCE, build_program, compare, run_onnx, run_program
from detkit.export.manifest import sha256_of
from detkit.export.onnx import save
from detkit.export.symbol import check_folder, export
from detkit.runner.checkpoint import WEIGHTS

ROOT = Path(__file__).resolve().parents[1]
ONNX = "model.onnx"


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
    parser.add_argument(
        "--check",
        metavar="IMAGE",
        nargs="+",
        default=[],
        help="compare what the network, the files, the C++ program and ONNX Runtime find in these",
    )
    args = parser.parse_args(argv)
    check_folder(args.out)
    images = [decode_image(path) for path in list_images(args.check)]
    detector = load(load_config(args.config, args.overrides), args.checkpoint, device="cpu")
    sha256 = sha256_of(os.path.join(args.checkpoint, WEIGHTS))
    manifest = export(detector, args.out, args.ops, sha256)
    names = [*manifest.files, *write_onnx(detector, args.out, args.onnx)]
    for name in names:
        size = os.path.getsize(os.path.join(args.out, name))
        print(f"written: {os.path.join(args.out, name)}, {size / 1e6:.1f} MB")
    if images:
        check(detector, args.out, images)


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
    the tolerance."""
    detector.model.hybridize(False)
    expected = [detector.detect(image) for image in images]
    exported = load_exported(folder, device="cpu")
    ways = {"symbol": [exported.detect(image) for image in images]}
    if shutil.which("cmake"):
        program = build_program(ROOT / "tools/deploy", ROOT / "build/deploy")
        ways["C++"] = run_program(program, folder, images, exported.class_names)
    else:
        print("C++: not compared, cmake is not on PATH")
    path = os.path.join(folder, ONNX)
    if os.path.exists(path):
        ways["ONNX"] = run_onnx(path, exported, images)
    count = sum(len(found.boxes) for found in expected)
    print(f"{len(images)} images, {count} detections; largest difference from Python:")
    differences = {way: compare(expected, found) for way, found in ways.items()}
    for way, difference in differences.items():
        print(f"  {way:8} {difference}")
    bad = [way for way, difference in differences.items() if difference.exceeds(TOLERANCE)]
    if bad:
        raise ExportError(f"{' and '.join(bad)} differ by more than {TOLERANCE}")


if __name__ == "__main__":
    sys.exit(run(main))
