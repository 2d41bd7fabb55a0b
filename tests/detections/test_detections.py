"""Detections as a sequence of objects: counted, indexed, compared, and in COCO's form."""

import json
from dataclasses import replace

import numpy as np
import pytest

from detkit.detections import Detections
from detkit.detections.coco_labels import COCO_CLASSES, COCO_LABELS
from detkit.detections.results import load_results, save_results
from detkit.segmentations import encode
from support.evaluation import NAMES, Dataset, detected, square

SIZE = (40, 60)  # height, width
COUNT = 5


def found_with(masks=None):
    """Five detections with keypoints, and masks as probabilities, as RLEs or none."""
    rng = np.random.default_rng(3)
    rows = [(square(9 * n, n), 0.9 - 0.1 * n, label) for n, label in enumerate((1, 0, 1, 2, 1))]
    found = replace(detected(*rows), keypoints=rng.random((COUNT, 3, 3), "f"), skeleton=[[0, 1]])
    if masks == "mask_probs":
        return replace(found, mask_probs=rng.random((COUNT, 4, 4), "f"), image_size=SIZE)
    if masks == "rles":
        rles = [encode(rng.random(SIZE) > 0.5) for _ in range(COUNT)]
        return replace(found, rles=rles, image_size=SIZE)
    return found


FOUND = found_with()
NOTHING = detected()


def test_it_counts_its_objects():
    assert len(FOUND) == COUNT and FOUND
    assert len(NOTHING) == 0 and not NOTHING
    assert list(NOTHING) == []
    assert [*NOTHING.names] == [*NOTHING[:0].names] == []


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="'boxes': 5, 'scores': 4"):
        replace(FOUND, scores=FOUND.scores[:4])
    with pytest.raises(ValueError, match="'keypoints': 2"):
        replace(FOUND, keypoints=FOUND.keypoints[:2])


@pytest.mark.parametrize("masks", [None, "mask_probs", "rles"])
@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(3), [0, 1, 2]),
        (slice(None, None, -2), [4, 2, 0]),
        (FOUND.scores > 0.65, [0, 1, 2]),
        (FOUND.names == "dog", [0, 2, 4]),
        ([False] * COUNT, []),
        ([True, False, False, False, True], [0, 4]),
        ([2, 0, 2], [2, 0, 2]),
        (np.array([-1, 1]), [4, 1]),
        ([], []),
        (np.zeros(0), []),
    ],
)
def test_an_index_selects_rows_of_every_field(masks, index, rows):
    found = found_with(masks)
    chosen = found[index]
    assert isinstance(chosen, Detections)
    assert len(chosen) == len(rows)
    for name in ("boxes", "scores", "labels", "keypoints", "mask_probs"):
        if getattr(found, name) is not None:
            np.testing.assert_array_equal(getattr(chosen, name), getattr(found, name)[rows])
    assert [*chosen.names] == [found.names[row] for row in rows]
    assert (chosen.skeleton, chosen.class_names) == (found.skeleton, found.class_names)
    assert chosen.has_masks == found.has_masks
    if masks:
        np.testing.assert_array_equal(chosen.masks, found.masks[rows])
        assert [chosen.rle(n) for n in range(len(rows))] == [found.rle(row) for row in rows]


def test_it_is_a_sequence_of_objects():
    found = found_with("rles")
    for row, one in enumerate(found):
        assert one == found[row] == found[np.int64(row)] == found[row - COUNT]
        np.testing.assert_array_equal(one.box, found.boxes[row])
        np.testing.assert_array_equal(one.keypoints, found.keypoints[row])
        np.testing.assert_array_equal(one.mask(), found.mask(row))
        assert one.rle() == found.rle(row)
        assert (one.score, one.label) == (found.scores[row], found.labels[row])
        assert one.name == NAMES[found.labels[row]] == found.names[row]
    assert json.dumps([found[0].score, found[0].label, found[0].name])
    assert detected((square(0), 0.5, 1))[0].keypoints is None
    with pytest.raises(ValueError, match="masks"):
        FOUND[0].mask()


@pytest.mark.parametrize(
    "index", [COUNT, -COUNT - 1, [COUNT], "boxes", None, True, 0.5, [[0, 1]], [True], [0.0]]
)
def test_what_is_no_index_is_refused(index):
    with pytest.raises(IndexError):
        FOUND[index]


def test_equal_means_all_that_it_holds():
    for masks in (None, "mask_probs", "rles"):
        found = found_with(masks)
        assert found == found_with(masks) == found[:]
        assert found[1:] != found and found[::-1] != found
    assert found_with("rles") != FOUND
    for change in (
        {"boxes": FOUND.boxes + 1},
        {"labels": FOUND.labels * 0},
        {"class_names": ("a", "b", "c")},
        {"skeleton": ()},
        {"keypoints": None},
    ):
        assert replace(FOUND, **change) != FOUND
    assert [*FOUND] != FOUND and FOUND[0] != FOUND[1] and FOUND[0] != 0.9
    with pytest.raises(TypeError):
        hash(FOUND)


def test_its_text_is_a_line():
    assert repr(FOUND) == "Detections(5 objects: 3 dog, 1 cat, 1 owl)"
    assert repr(FOUND[:1]) == "Detections(1 object: 1 dog)"
    assert repr(NOTHING) == "Detections(0 objects)"
    assert repr(FOUND[0]) == "Detection(dog 0.90: 0.0, 0.0, 10.0, 10.0)"
    many = detected(*((square(0), 0.5, n) for n in range(80)), names=COCO_CLASSES)
    assert len(repr(many)) < 120


# --- COCO's form ----------------------------------------------------------------------------------


@pytest.mark.parametrize("masks", [None, "rles"])
def test_coco_results_are_those_of_the_file(masks, tmp_path):
    found, dataset = found_with(masks), Dataset({7: [], 8: []})
    save_results(tmp_path / "a.json", {7: found, 8: found[3:]}, dataset)
    written = json.loads((tmp_path / "a.json").read_text())
    assert written == found.to_coco(7) + found[3:].to_coco(np.int64(8))
    again = load_results(tmp_path / "a.json", dataset)[7]
    np.testing.assert_allclose(again.boxes, found.boxes)
    np.testing.assert_array_equal(again.labels, found.labels)
    assert [entry["category_id"] for entry in found.to_coco(7)] == [2, 1, 2, 3, 2]


def test_coco_results_have_the_ids_that_are_given():
    assert [one["category_id"] for one in FOUND.to_coco("a", [5, 18, 44])] == [18, 5, 18, 44, 18]
    assert {one["image_id"] for one in FOUND.to_coco("a")} == {"a"}
    assert NOTHING.to_coco("a") == []


def test_cocos_classes_have_cocos_own_ids():
    of_coco = detected(*((square(0), 0.5, n) for n in (0, 11, 79)), names=COCO_CLASSES)
    ids = [entry["category_id"] for entry in of_coco.to_coco(1)]
    assert ids == [1, 13, 90]
    assert [COCO_LABELS[number] for number in ids] == [*of_coco.names]
