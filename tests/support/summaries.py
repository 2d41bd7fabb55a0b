"""Summaries of moved and invented boxes on the embedded dataset, and their page."""

import json

import numpy as np

from detkit.analysis import summarise
from detkit.data import Shapes
from detkit.detections import Detections
from detkit.report import add_all_boxes, curves_of_training, first_of_each_kind, page, pictures_of

LOG = [
    {"kind": "environment", "python": "3.8"},
    *({"kind": "train", "step": n, "lr": 0.01, "loss": 3 / n, "memory_mb": 9} for n in (1, 2, 3)),
    {"kind": "val_loss", "step": 3, "loss": 1.5},
    {"kind": "evaluate", "step": 3, "AP": 0.25, "AP50": None, "per_class": {"star": 0.5}},
    {"kind": "train", "step": 3, "lr": 0.01, "loss": 0.75},
]
ERRORS = {"ap50": 0.5, "classification": 0.125, "missed": 0.0625}  # as TIDE's


def dataset_and_detections(seed, length=8):
    """(Shapes, {image_id: Detections}): objects, moved or of a wrong class, and false alarms."""
    dataset, random = Shapes(length=length, seed=4), np.random.default_rng(seed)
    names, detections = tuple(dataset.class_names), {}
    for index in range(length):
        one = dataset.annotation(index)
        kept = random.random(len(one.boxes)) < 0.85
        boxes, labels = one.boxes[kept], one.labels[kept].copy()
        boxes = boxes + random.normal(0, 2, boxes.shape).astype(np.float32)
        wrong = random.random(len(labels)) < 0.15
        labels[wrong] = (labels[wrong] + 1) % len(names)
        corners = random.random((4, 2)).astype(np.float32) * 50
        boxes = np.concatenate([boxes, np.c_[corners, corners + 40]]).astype(np.float32)
        labels = np.concatenate([labels, random.integers(len(names), size=4)]).astype(np.int32)
        scores = random.uniform(0.06, 1, len(labels)).astype(np.float32)
        falling = np.argsort(-scores)
        detections[one.image_id] = Detections(
            boxes[falling], scores[falling], labels[falling], names
        )
    return dataset, detections


def summary_of(folder, seed=0, name="first", number=2):
    """(summary, dataset, detections); its training was logged in ``folder``."""
    dataset, detections = dataset_and_detections(seed)
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, LOG)) + "\nno record\n[1]\n")
    config = [{"key": "train.lr", "value": "0.01", "where": "a.yaml:7"}]
    about = {"config": config, "environment": {"python": "3.8"}, "checkpoint": "step-00000003"}
    summary = summarise(
        dataset,
        detections,
        rule="voc",
        name=name,
        speed={"images_per_second": 12.5, "milliseconds": {"read": 2.5, "network": 77.5}},
        training=curves_of_training(folder),
        about=about,
    )
    summary = {**first_of_each_kind(summary, number), "errors": ERRORS}
    add_all_boxes(summary, dataset, detections)
    return summary, dataset, detections


def write_page(path, summaries, dataset, differences=()):
    """Writes the page of summaries with their pictures."""
    path.write_text(page(summaries, differences, pictures_of(summaries, dataset)))
    return path


def renamed(summary, old, new):
    """A summary in which a class has another name."""
    text = json.dumps(summary).replace(json.dumps(old), json.dumps(new))
    return json.loads(text)
