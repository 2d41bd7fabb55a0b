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
from detkit.export.compare import TOLERANCE, build_program, compare, run_program
from detkit.export.manifest import sha256_of
from detkit.export.symbol import check_folder, export
from detkit.runner.checkpoint import WEIGHTS

ROOT = Path(__file__).resolve().parents[1]


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
    parser.add_argument(
        "--check",
        metavar="IMAGE",
        nargs="+",
        default=[],
        help="compare what the network, the files and the C++ program find in these",
    )
    args = parser.parse_args(argv)
    check_folder(args.out)
    images = [decode_image(path) for path in list_images(args.check)]
    detector = load(load_config(args.config, args.overrides), args.checkpoint, device="cpu")
    sha256 = sha256_of(os.path.join(args.checkpoint, WEIGHTS))
    manifest = export(detector, args.out, args.ops, sha256)
    for name in manifest.files:
        size = os.path.getsize(os.path.join(args.out, name))
        print(f"written: {os.path.join(args.out, name)}, {size / 1e6:.1f} MB")
    if images:
        check(detector, args.out, images)


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
