"""Detections in supervision's form, with the package itself: its tools run on them."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from detkit.detections import Detections
from detkit.errors import DetkitError
from detkit.segmentations import encode
from support.evaluation import NAMES, detected, square

SIZE = (60, 90)  # height, width


def found_with_masks():
    found = detected((square(10, 20), 0.9, 1), (square(40, 5, 30), 0.6, 2))
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 20:30, 10:20] = masks[1, 5:30, 45:70] = True
    return replace(found, image_size=SIZE, rles=[encode(mask) for mask in masks])


def test_without_supervision_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(DetkitError, match="package supervision, found none.*pip install"):
        detected().to_supervision()


@pytest.fixture(scope="module")
def supervision():
    return pytest.importorskip("supervision", reason="supervision is not installed")


def test_supervisions_detections_hold_the_same(supervision):
    found = found_with_masks()
    theirs = found.to_supervision()
    assert isinstance(theirs, supervision.Detections)
    np.testing.assert_array_equal(theirs.xyxy, found.boxes)
    np.testing.assert_array_equal(theirs.confidence, found.scores)
    np.testing.assert_array_equal(theirs.class_id, found.labels)
    assert [*theirs["class_name"]] == ["dog", "owl"]
    np.testing.assert_array_equal(theirs.mask, found.masks > 0.5)
    assert theirs.mask.dtype == bool
    assert len(theirs[theirs.confidence > 0.7]) == 1
    assert len(detected().to_supervision()) == 0


def test_and_are_taken_back(supervision):
    for found in (found_with_masks(), detected((square(1), 0.5, 1)), detected()):
        assert Detections.from_supervision(found.to_supervision(), NAMES) == found
    bare = supervision.Detections(np.float32([[1, 2, 3, 4]]))
    assert Detections.from_supervision(bare, ["a"]) == detected(((1, 2, 3, 4), 1, 0), names=["a"])
    assert len(Detections.from_supervision(supervision.Detections.empty(), NAMES)) == 0
    with pytest.raises(ValueError, match="from 0 to 0.*found 1 to 2"):
        Detections.from_supervision(found_with_masks().to_supervision(), ["a"])


def test_its_annotators_draw_them(supervision):
    theirs, scene = found_with_masks().to_supervision(), np.zeros((*SIZE, 3), np.uint8)
    boxes = supervision.BoxAnnotator(thickness=1).annotate(scene.copy(), theirs)
    assert boxes[20, 10:20].any(axis=1).all() and not boxes[24, 13].any()
    masks = supervision.MaskAnnotator().annotate(scene.copy(), theirs)
    assert masks[24, 13].any()
    assert supervision.LabelAnnotator().annotate(scene.copy(), theirs).any()


@pytest.mark.filterwarnings("ignore")
def test_its_tracker_follows_an_object(supervision):
    if not hasattr(supervision, "ByteTrack"):
        pytest.skip(f"supervision {supervision.__version__} has no tracker (0.30 is the last)")
    tracker, ids = supervision.ByteTrack(), []
    for frame in range(4):
        found = detected((square(10 + 2 * frame, 20, 30), 0.9, 1))
        ids += tracker.update_with_detections(found.to_supervision()).tracker_id.tolist()
    assert len(ids) >= 3 and len(set(ids)) == 1


@pytest.mark.filterwarnings("ignore")
def test_its_slicer_joins_what_is_found_in_tiles(supervision):
    image = np.zeros((100, 160, 3), np.uint8)
    image[30:50, 100:120] = 255

    def callback(tile):
        rows, columns = np.nonzero(tile[..., 0])
        if not len(rows):
            return detected().to_supervision()
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return detected((box, 0.9, 1)).to_supervision()

    slicer = supervision.InferenceSlicer(callback, slice_wh=(80, 100), overlap_wh=(40, 0))
    found = Detections.from_supervision(slicer(image), NAMES)
    assert (100, 30, 120, 50) in map(tuple, found.boxes.tolist())
    assert {*found.names} == {"dog"}
