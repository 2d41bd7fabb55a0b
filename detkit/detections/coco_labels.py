"""COCO's classes: their names, and the numbers that COCO and torchvision give them."""

from typing import Sequence, Tuple

# COCO numbers 90 classes and annotates 80; the numbers that it does not use are N/A.
_NAMES = """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire
    hydrant, N/A, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant,
    bear, zebra, giraffe, N/A, backpack, umbrella, N/A, N/A, handbag, tie, suitcase, frisbee,
    skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard,
    tennis racket, bottle, N/A, wine glass, cup, fork, knife, spoon, bowl, banana, apple,
    sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant,
    bed, N/A, dining table, N/A, N/A, toilet, N/A, tv, laptop, mouse, remote, keyboard, cell
    phone, microwave, oven, toaster, sink, refrigerator, N/A, book, clock, vase, scissors, teddy
    bear, hair drier, toothbrush
"""

# The background is label 0, so that a label is an index.
COCO_LABELS = ("__background__", *(" ".join(name.split()) for name in _NAMES.split(",")))
# The 80 classes in the order of their numbers: the labels of all detectors here.
COCO_CLASSES = tuple(name for name in COCO_LABELS[1:] if name != "N/A")


def category_ids_of(class_names: Sequence[str]) -> Tuple[int, ...]:
    """Returns the category id of each label: COCO's own for its 80 classes, otherwise label + 1.

    COCO's own, from 1 to 90, are also the labels of torchvision's detectors.
    """
    if tuple(class_names) == COCO_CLASSES:
        return tuple(map(COCO_LABELS.index, COCO_CLASSES))
    return tuple(range(1, len(class_names) + 1))
