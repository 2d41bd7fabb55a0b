"""Converts a detector of another framework: ``detkit convert-weights``."""

import argparse

from detkit import converters
from detkit.converters.run_folder import check_folder, save_run


def main(args: argparse.Namespace) -> None:
    """Converts, writes the folder, prints the commands that use it."""
    check_folder(args.out)
    classes = args.classes
    if classes and args.framework == "torchvision":
        classes = ["__background__", *classes]  # torchvision's label 0
    converter = getattr(converters, f"from_{args.framework}")
    detector = converter(args.model, args.weights, class_names=classes, device="cpu")
    config, checkpoint = save_run(detector, args.out)
    print(f"written: {config}, {checkpoint}")
    print(f"draw:    detkit predict {config} {checkpoint} IMAGE --out pictures")
    print(f"test:    detkit test {config} {checkpoint}")
    print(f"train:   detkit train {config} --work-dir {args.out} --resume auto")
