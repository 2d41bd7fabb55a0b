"""Converts a detector of another framework into a config and a checkpoint."""

import argparse
import sys
from typing import Optional, Sequence

from detkit import converters
from detkit.cli import debug_argument, run
from detkit.converters.run_folder import check_folder, save_run

FRAMEWORKS = ("torchvision", "gluoncv", "detectron2")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Converts, writes the folder, prints the commands that use it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=FRAMEWORKS, help="whose detector it is")
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="its name there, such as fasterrcnn_resnet50_fpn",
    )
    parser.add_argument(
        "weights",
        metavar="FILE",
        nargs="?",
        help="a path, or a URL with #sha256=; default: the published file of torchvision's MODEL",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="a new folder")
    parser.add_argument(
        "--classes",
        metavar="NAME",
        nargs="+",
        help="in the file's order; default: COCO's or VOC's",
    )
    debug_argument(parser)
    args = parser.parse_args(argv)
    if args.weights is None and args.framework != "torchvision":
        parser.error(
            f"FILE: expected the weights that {args.framework} publishes for {args.model}, found "
            "none"
        )
    check_folder(args.out)
    classes = args.classes
    if classes and args.framework == "torchvision":
        classes = ["__background__", *classes]  # torchvision's label 0
    converter = getattr(converters, f"from_{args.framework}")
    detector = converter(args.model, args.weights, class_names=classes, device="cpu")
    config, checkpoint = save_run(detector, args.out)
    print(f"written: {config}, {checkpoint}")
    print(f"draw:    python tools/demo.py {config} {checkpoint} IMAGE --out pictures")
    print(f"test:    python tools/test.py {config} {checkpoint}")
    print(f"train:   python tools/train.py {config} --work-dir {args.out} --resume auto")


if __name__ == "__main__":
    sys.exit(run(main))
