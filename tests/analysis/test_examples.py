"""Examples: which images are best, worst and confused, and what is said of them."""

import json

from detkit.analysis.examples import examples
from detkit.analysis.matches import match_image
from detkit.detections.of_dataset import paired
from support.evaluation import Dataset, detected, square

FAR = square(70, 70)


class WithPaths(Dataset):
    """A dataset whose images are files."""

    def image_path(self, index):
        return f"images/{index}.jpg"


def found(objects, detections, threshold=0.5, most=12, kind_of_dataset=Dataset):
    dataset = kind_of_dataset(objects)
    pairs = paired(dataset, detections)
    return examples(dataset, pairs, [match_image(*pair) for pair in pairs], threshold, most)


OBJECTS = {
    "perfect": [(square(0), 0), (square(20), 1)],
    "one hit": [(square(0), 0)],
    "half": [(square(0), 0), (square(20), 0)],
    "wrong class": [(square(0), 0)],
    "missed": [(square(0), 0), (square(20), 0), (square(40), 0)],
    "empty": [],
}
DETECTIONS = {
    "perfect": detected((square(0), 0.9, 0), (square(20), 0.8, 1)),
    "one hit": detected((square(0), 0.9, 0), (FAR, 0.4, 0)),
    "half": detected((square(0), 0.9, 0), (FAR, 0.6, 2)),
    "wrong class": detected((square(0), 0.9, 1)),
    "empty": detected((FAR, 0.1, 0)),
}


def ids(kind, **settings):
    all_of_them = found(OBJECTS, DETECTIONS, **settings)
    return [one["image_id"] for one in all_of_them if one["kind"] == kind]


def test_the_kinds_are_in_the_order_of_their_rank():
    assert ids("best") == ["perfect", "one hit", "half"]
    assert ids("worst") == ["missed", "wrong class", "half"]
    assert ids("confused") == ["wrong class"]
    assert ids("best", most=1) == ["perfect"]


def test_the_threshold_decides_what_an_image_has():
    assert "empty" in ids("worst", threshold=0.05)
    assert ids("best", threshold=0.85) == ["one hit", "perfect", "half"]


def test_an_example_says_what_was_found_and_what_hits():
    objects = {7: [(square(0), 0), (square(40), 1), (square(60), 2, True)]}
    rows = detected((square(0), 0.35, 0), (square(40), 0.9, 2), (square(60), 0.9, 2), (FAR, 0.2, 1))
    best, worst, confused = found(objects, {7: rows}, 0.3, kind_of_dataset=WithPaths)
    kinds = [one.pop("kind") for one in (best, worst, confused)]
    assert kinds == ["best", "worst", "confused"]
    assert best == worst == confused
    assert json.loads(json.dumps(best)) == {
        "image_id": 7,
        "path": "images/0.jpg",
        "width": 100,
        "height": 100,
        "f1": 0.5,
        "objects": [
            {"box": [0, 0, 10, 10], "label": 0, "difficult": False, "found": True},
            {"box": [40, 0, 50, 10], "label": 1, "difficult": False, "found": False},
            {"box": [60, 0, 70, 10], "label": 2, "difficult": True, "found": False},
        ],
        "detections": [
            {"box": [0, 0, 10, 10], "label": 0, "score": 0.35, "hit": True},
            {"box": [40, 0, 50, 10], "label": 2, "score": 0.9, "hit": False},
        ],
    }


def test_a_dataset_without_files_has_no_paths():
    assert {one["path"] for one in found(OBJECTS, DETECTIONS)} == {None}
