"""Masks of detections: pasted, written, read, judged and drawn."""

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pycocotools.coco
import pytest
from pycocotools.cocoeval import COCOeval

from detkit import segmentations
from detkit.data import COCO
from detkit.detections import Detections
from detkit.detections.draw import colour_of, draw_detections
from detkit.detections.results import load_results, save_results
from detkit.errors import DataError
from detkit.evaluate import COCOEvaluator
from support import kernel_roi_oracles
from support.environment import SHARED
from support.evaluation import Dataset, detected, square

SIZE = (100, 100)


class MaskedDataset(Dataset):
    """Every object is a square of which the left part is the object: (box, label, share, crowd)."""

    def __init__(self, images):
        super().__init__({i: [(b, k, *crowd) for b, k, _, *crowd in o] for i, o in images.items()})
        self._shares = [[share for _, _, share, *_ in objects] for objects in images.values()]

    def masks(self, index):
        boxes = self.annotation(index).boxes
        pairs = zip(boxes, self._shares[index])
        return np.array([left_part(*pair) for pair in pairs], np.uint8).reshape(-1, *SIZE)


def left_part(box, share):
    mask = np.zeros(SIZE, np.uint8)
    x1, y1, x2, y2 = map(int, box)
    mask[y1:y2, x1 : x1 + round(share * (x2 - x1))] = 1
    return mask


def segmented(*rows):
    """Detections of (box, score, label, share), as read from a file."""
    rles = [segmentations.encode(left_part(box, share)) for box, _, _, share in rows]
    return replace(detected(*(row[:3] for row in rows)), image_size=SIZE, rles=rles)


def with_probabilities(side=8):
    rng = np.random.default_rng(0)
    detections = detected(((10.3, 20.7, 50.2, 61.9), 0.9, 1), ((-5, 30, 130, 99), 0.6, 0))
    cells = rng.uniform(size=(2, side, side)).astype(np.float32)
    return replace(detections, mask_probs=cells, image_size=SIZE)


def test_masks_are_pasted_into_their_boxes():
    detections = with_probabilities()
    expected = kernel_roi_oracles.mask_paste(detections.mask_probs, detections.boxes, *SIZE)
    assert detections.masks.dtype == np.float32
    np.testing.assert_allclose(detections.masks, expected, atol=1e-4)
    np.testing.assert_array_equal([detections.mask(0), detections.mask(-1)], detections.masks)
    assert detections.masks.flags.writeable
    sure = np.abs(expected[0] - segmentations.THRESHOLD) > 1e-3
    decoded = segmentations.decode(detections.rle(0), *SIZE)
    np.testing.assert_array_equal(decoded[sure], (expected[0] >= segmentations.THRESHOLD)[sure])


def test_detections_without_masks_have_none():
    plain = detected((square(0), 0.5, 0))
    assert not plain.has_masks
    assert plain.masks is None
    with pytest.raises(ValueError, match="masks"):
        plain.mask(0)
    nothing = replace(detected(), mask_probs=np.zeros((0, 8, 8), np.float32), image_size=SIZE)
    assert nothing.has_masks
    assert nothing.masks.shape == (0, 100, 100)


def test_masks_survive_the_file(tmp_path):
    dataset = Dataset({7: [], 8: []})
    detections = with_probabilities()
    save_results(tmp_path / "found.json", {7: detections}, dataset)
    loaded = load_results(tmp_path / "found.json", dataset)
    assert loaded[7].image_size == SIZE
    assert not loaded[8].has_masks
    expected = detections.masks >= segmentations.THRESHOLD
    np.testing.assert_array_equal(loaded[7].masks, expected)
    save_results(tmp_path / "again.json", loaded, dataset)
    entries = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("found", "again"))
    one, other = ([entry["segmentation"] for entry in listed] for listed in entries)
    assert one == other


RLE = {"size": [2, 3], "counts": [6]}


@pytest.mark.parametrize(
    ("segmentation", "fragments"),
    [
        ({"size": [2, 3], "counts": [5]}, ["entry 1: segmentation: ", "2 x 3 ", "found [5]"]),
        ({"size": [2], "counts": [6]}, ["entry 1: segmentation: ", "[height, width]"]),
        ({"size": [2, -3], "counts": [6]}, ["segmentation: ", "[height, width]", "-3"]),
        ([[1, 2, 3, 4, 5, 6]], ["segmentation: ", "an RLE", "found [[1, 2, 3, 4, 5, 6]]"]),
        ({"size": [3, 2], "counts": [6]}, ["image 7: ", "found [(2, 3), (3, 2)]"]),
    ],
)
def test_a_wrong_mask_is_named(tmp_path, segmentation, fragments):
    entry = {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    path = tmp_path / "found.json"
    path.write_text(json.dumps([{**entry, "segmentation": s} for s in (RLE, segmentation)]))
    with pytest.raises(DataError) as caught:
        load_results(path, Dataset({7: []}))
    for fragment in (str(path), *fragments):
        assert fragment in str(caught.value)


def test_mask_ap_counted_by_hand():
    dataset = MaskedDataset(
        {
            1: [(square(0, side=40), 0, 1.0)],
            2: [(square(0, side=40), 1, 1.0)],
            3: [(square(0, side=40), 1, 1.0), (square(50, 50, side=40), 1, 1.0, True)],
        }
    )
    detections = {
        1: segmented((square(0, side=40), 0.9, 0, 0.75)),  # a hit at IoUs from 0.5 to 0.75: 6 of 10
        2: segmented((square(0, side=40), 0.9, 1, 1.0)),
        # In the crowd: neither right nor wrong, though it comes first.
        3: segmented((square(50, 50, side=40), 0.99, 1, 0.5), (square(0, side=40), 0.8, 1, 1.0)),
    }
    metrics = COCOEvaluator()(dataset, detections)
    assert metrics["AP"] == metrics["AP50"] == pytest.approx(1)
    assert metrics["mask_AP"] == pytest.approx((0.6 + 1) / 2)
    assert metrics["mask_AP50"] == metrics["mask_AP75"] == pytest.approx(1)
    assert metrics["mask_APm"] == pytest.approx((0.6 + 1) / 2)
    assert np.isnan(metrics["mask_APs"])
    assert metrics["mask_AR100"] == pytest.approx((0.6 + 1) / 2)
    assert all(type(value) is float for name, value in metrics.items() if name != "per_class")


def test_masks_are_judged_only_where_both_have_them():
    truth = {1: [(square(0), 0, 1.0)]}
    without = {1: detected((square(0), 0.9, 0))}
    assert "mask_AP" not in COCOEvaluator()(MaskedDataset(truth), without)
    boxes_only = Dataset({1: [(square(0), 0)]})
    boxes_only.masks = lambda index: None
    assert "mask_AP" not in COCOEvaluator()(boxes_only, {1: segmented((square(0), 0.9, 0, 1.0))})


def test_an_image_larger_than_annotated_is_judged():
    dataset = MaskedDataset({1: [(square(0), 0, 1.0)]})
    detections = segmented((square(0), 0.9, 0, 1.0))
    larger = np.pad(left_part(square(0), 1.0), ((0, 20), (0, 0)))
    detections = replace(detections, image_size=(120, 100), rles=[segmentations.encode(larger)])
    assert COCOEvaluator()(dataset, {1: detections})["mask_AP"] == pytest.approx(1)


SMALL = SHARED / "data" / "coco_small"


@pytest.mark.skipif(not SMALL.is_dir(), reason=f"{SMALL} is not there")
def test_mask_ap_of_coco_is_that_of_its_own_tools(tmp_path):
    """The objects' masks, moved a little, with some wrong names; crowds are in the file."""
    rng = np.random.default_rng(0)
    file = SMALL / "annotations/instances_val2017.json"
    dataset = COCO(str(file), str(SMALL / "val2017"))
    detections = {}
    for index in range(len(dataset)):
        annotation, planes = dataset.annotation(index), dataset.masks(index)
        moved = [np.roll(mask, rng.integers(-6, 7), axis=rng.integers(2)) for mask in planes]
        count = len(planes)
        wrong = rng.integers(0, 80, count).astype(np.int32)
        detections[annotation.image_id] = Detections(
            annotation.boxes,
            rng.random(count).astype(np.float32),
            np.where(rng.random(count) < 0.9, annotation.labels, wrong),
            dataset.class_names,
            image_size=planes.shape[1:],
            rles=[segmentations.encode(mask) for mask in moved],
        )
    metrics = COCOEvaluator()(dataset, detections)
    save_results(tmp_path / "found.json", detections, dataset)
    entries = json.loads((tmp_path / "found.json").read_text())
    without_boxes = [{k: v for k, v in entry.items() if k != "bbox"} for entry in entries]
    with contextlib.redirect_stdout(io.StringIO()):
        reference = pycocotools.coco.COCO(str(file))
        evaluation = COCOeval(reference, reference.loadRes(without_boxes), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert 0.3 < metrics["mask_AP"] < 0.7
    for number, name in enumerate(("AP", "AP50", "AP75", "APs", "APm", "APl")):
        assert metrics[f"mask_{name}"] == pytest.approx(evaluation.stats[number], abs=1e-6)
    again = COCOEvaluator()(dataset, load_results(tmp_path / "found.json", dataset))
    np.testing.assert_equal(again, metrics)


def test_masks_are_drawn_each_in_a_colour_of_its_own():
    grey = np.full((100, 100, 3), 128, np.uint8)
    detections = segmented(((20, 20, 80, 80), 0.9, 1, 0.5), ((84, 20, 98, 80), 0.8, 1, 0.5))
    drawn = draw_detections(grey, detections)
    for number, (inside, outside) in enumerate(((35, 65), (87, 94))):
        towards = np.subtract(colour_of(number), 128)
        np.testing.assert_allclose(drawn[60, inside].astype(int) - 128, towards * 0.45, atol=1)
        assert drawn[60, outside].tolist() == [128, 128, 128]
    np.testing.assert_allclose(drawn[60, 49], colour_of(0), atol=12)  # the outline, softened
    plain = draw_detections(grey, replace(detections, rles=None))
    assert plain[60, 35].tolist() == [128, 128, 128]
    assert plain[60, 20].tolist() == list(colour_of(1))  # without masks, that of the class
    assert draw_detections(grey, detections, scale=2).shape == (200, 200, 3)
