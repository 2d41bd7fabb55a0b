"""Arguments that tools/benchmark.py and tools/benchmark_throughput.py have in common."""

import argparse
from typing import Collection

from ..arguments import add_peers, size
from ..instruction_limit import describe
from .sides import FORMS, left_out

MODELS = (
    "fasterrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "keypointrcnn_resnet50_fpn",
    "fasterrcnn_vgg16",
)
SIZE = (600, 800)


def add_detectors(
    parser: argparse.ArgumentParser, forms: Collection[str], peers: Collection[str]
) -> None:
    """Adds the arguments that choose the detectors, their images and the sides.

    forms: the default of --forms. peers: names of PEERS that --peer may choose.
    """
    parser.add_argument("models", metavar="MODEL", nargs="*", help=f"default: {', '.join(MODELS)}")
    parser.add_argument(
        "--size",
        type=size,
        nargs="+",
        default=[SIZE],
        metavar="HxW",
        help="height and width of the images in pixels; default: 600x800",
    )
    parser.add_argument(
        "--forms",
        nargs="+",
        choices=FORMS,
        default=list(forms),
        metavar="FORM",
        help=f"forms of detkit, some of {', '.join(FORMS)}; default: {', '.join(forms)}",
    )
    add_peers(parser, peers)


def complete(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Checks and completes the parsed arguments of ``add_detectors``.

    Sets ``models``, ``peers``, {name: interpreter}, ``processor``, a line, ``left_out``,
    {side: reason}, and ``forms``, the forms that are not left out.
    """
    for model in args.models:
        if model not in MODELS:
            parser.error(f"MODEL: expected one of {', '.join(MODELS)}, found {model!r}")
    args.models = args.models or MODELS
    args.peers = dict(args.peers)
    forms = args.forms
    args.processor, args.left_out = describe(), left_out(forms, args.peers)
    args.forms = [form for form in forms if f"detkit {form}" not in args.left_out]
    if not args.forms:
        reasons = (args.left_out[f"detkit {form}"] for form in forms)
        parser.error(f"nothing is left of --forms {' '.join(forms)}: {'; '.join(reasons)}")
