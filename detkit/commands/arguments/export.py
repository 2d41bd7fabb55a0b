"""Exports a checkpoint as files that need none of detkit's models, for Python and for C++."""

import argparse
from typing import Optional

from detkit.cli import lacks_checkpoint, model_arguments, positive, proposals_argument
from detkit.export.runtimes.names import ONNX, ONNX_INT8, ONNX_NNCF

CALIBRATION = 32  # images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    model_arguments(parser)
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
    parser.add_argument(
        "--nncf",
        action="store_true",
        help=f"with --onnx --int8: also write {ONNX_NNCF}, by OpenVINO's quantizer NNCF; "
        "--calib-mode does not concern it",
    )
    _precision_arguments(parser)
    parser.add_argument(
        "--check",
        metavar="IMAGE",
        nargs="+",
        default=[],
        help="compare the detections of the exported files, in Python, in the C++ program and in "
        "ONNX Runtime, with those of the checkpoint in these images",
    )
    proposals_argument(parser)


def wrong(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if an argument is given without the one that it belongs to."""
    if (args.calib or args.calib_mode or args.int8_for) and not args.int8:
        return "--calib, --calib-mode and --int8-for are for --int8"
    if args.nncf and not (args.int8 and args.onnx):
        return "--nncf is for --int8 and --onnx together"
    if args.keep is not None and not (args.int8 or args.bf16):
        return "--keep is for --int8 and --bf16"
    if args.proposals and not args.check:
        return "--proposals is for --check"
    return lacks_checkpoint(args)


def _precision_arguments(parser: argparse.ArgumentParser) -> None:
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
        choices=("naive", "entropy"),
        help="naive: 8 bits cover all values in the images (the default); entropy: rare large "
        "values are clipped",
    )
    parser.add_argument(
        "--int8-for",
        choices=("any", "vnni"),
        help="any: for every CPU, with the same results (the default); vnni: for CPUs with VNNI "
        "alone, one bit more precise there and wrong elsewhere",
    )
    parser.add_argument(
        "--keep",
        nargs="*",
        metavar="LAYER",
        help='layers that stay float32: names, their beginnings, patterns with *, "first", '
        '"final"; default: first final for --int8, none for --bf16',
    )
