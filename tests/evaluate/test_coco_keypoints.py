"""OKS by COCOEvaluator: numbers counted by hand, and pycocotools on the stored detections."""

import contextlib
import io
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO as Index
from pycocotools.cocoeval import COCOeval

from detkit.data import COCO
from detkit.data.keypoints import Keypoints
from detkit.detections.results import load_results, save_results
from detkit.errors import DataError
from detkit.evaluate import COCOEvaluator
from support.evaluation import Dataset, detected, square

SIGMA = 0.1


class WithKeypoints(Dataset):
    """Every object has keypoints, its corners: (box, label, flag)."""

    keypoint_names = ("first", "second")

    def __init__(self, images):
        super().__init__({i: [row[:2] for row in rows] for i, rows in images.items()})
        self._flags = [[row[2] for row in rows] for rows in images.values()]

    def field(self, name, index):
        boxes = self.annotation(index).boxes.reshape(-1, 2, 2)
        flags = np.tile(np.reshape(self._flags[index], (-1, 1, 1)), (1, 2, 1))
        return Keypoints(np.concatenate([boxes, flags], axis=2), [(0, 1)] * 2)


def posed(*rows):
    """Detections of (box, score, label, pixels by which the keypoints are too far right)."""
    found = detected(*(row[:3] for row in rows))
    shifts = np.array([row[3] for row in rows], "f").reshape(-1, 1)
    points = np.zeros((len(rows), 2, 3), "f")
    points[..., :2] = found.boxes.reshape(-1, 2, 2)
    points[..., 0] += shifts
    return replace(found, keypoints=points)


def oks(shift, area):
    return np.exp(-(shift**2) / (2 * area * (2 * SIGMA) ** 2))


def test_oks_counted_by_hand():
    box, near, far = square(0, side=50), 7.0, 12.0
    assert 0.8 > oks(near, 2500) > 0.75 > 0.5 > oks(far, 2500) > 0.45
    dataset = WithKeypoints({1: [(box, 0, 2)], 2: [(box, 0, 1)]})
    for shift, expected in ((near, (6 + 4 * 51 / 101) / 10), (far, 51 / 101)):
        found = {1: posed((box, 0.9, 0, 0)), 2: posed((box, 0.8, 0, shift))}
        metrics = COCOEvaluator(sigmas=SIGMA)(dataset, found)
        assert metrics["AP50"] == pytest.approx(1)
        assert metrics["keypoint_AP"] == pytest.approx(expected)
        assert metrics["keypoint_APm"] == pytest.approx(expected)
    assert metrics["keypoint_AR20"] == pytest.approx(0.5)
    assert list(metrics)[-6:] == [
        f"keypoint_{name}" for name in ("AP", "AP50", "AP75", "APm", "APl", "AR20")
    ]
    assert np.isnan(metrics["keypoint_APl"])


def test_objects_without_labelled_keypoints_do_not_count():
    dataset = WithKeypoints({1: [(square(0, side=50), 0, 0), (square(100, side=50), 0, 2)]})
    found = {1: posed((square(100, side=50), 0.5, 0, 0), (square(0, side=50), 0.9, 0, 0))}
    assert COCOEvaluator(sigmas=SIGMA)(dataset, found)["keypoint_AP"] == pytest.approx(1)


def test_boxes_alone_are_judged_without_keypoints():
    dataset = WithKeypoints({1: [(square(0), 0, 2)]})
    metrics = COCOEvaluator()(dataset, {1: detected((square(0), 0.9, 0))})
    assert not [name for name in metrics if name.startswith("keypoint")]
    metrics = COCOEvaluator()(Dataset({1: [(square(0), 0)]}), {1: posed((square(0), 0.9, 0, 0))})
    assert not [name for name in metrics if name.startswith("keypoint")]


def test_an_image_that_is_missing_has_no_detections():
    dataset = WithKeypoints({1: [(square(0), 0, 2)], 2: [(square(0), 0, 2)]})
    metrics = COCOEvaluator(sigmas=SIGMA)(dataset, {1: posed((square(0), 0.9, 0, 0))})
    assert metrics["keypoint_AP"] == pytest.approx(51 / 101)


@pytest.mark.parametrize(
    ("sigmas", "fragments"),
    [
        (None, ("evaluate.sigmas", "dataset's 2 keypoints", "found 17 (the default)")),
        ([0.1] * 3, ("evaluate.sigmas", "dataset's 2 keypoints", "found 3")),
    ],
)
def test_sigmas_of_another_number_are_refused(sigmas, fragments):
    dataset = WithKeypoints({1: [(square(0), 0, 2)]})
    evaluator = COCOEvaluator(sigmas)
    for refuse in (
        lambda: evaluator(dataset, {1: posed((square(0), 0.9, 0, 0))}),
        lambda: evaluator.check_keypoints(dataset),
    ):
        with pytest.raises(DataError) as caught:
            refuse()
        assert all(fragment in str(caught.value) for fragment in fragments)


@pytest.mark.parametrize("sigmas", [0, -0.1, [0.1, 0], float("nan")])
def test_sigmas_that_are_no_tolerance_are_refused(sigmas):
    with pytest.raises(ValueError, match="sigmas: expected numbers above 0"):
        COCOEvaluator(sigmas)


def test_another_number_of_keypoints_is_refused():
    dataset = WithKeypoints({1: [(square(0), 0, 2)]})
    found = posed((square(0), 0.9, 0, 0))
    found = replace(found, keypoints=np.zeros((1, 5, 3), "f"))
    with pytest.raises(DataError, match="2 of each object, found .1, 5, 3."):
        COCOEvaluator(sigmas=SIGMA)(dataset, {1: found})


# --- pycocotools on the stored detections ---------------------------------------------------------


@pytest.fixture
def persons(tmp_path):
    """A file of COCO with 6 images of persons of 17 keypoints, and a dataset that reads it."""
    rng, images, annotations = np.random.default_rng(0), [], []
    for image in range(1, 7):
        cv2.imwrite(str(tmp_path / f"{image}.png"), np.zeros((300, 400, 3), np.uint8))
        images.append({"id": image, "file_name": f"{image}.png", "width": 400, "height": 300})
        for number in range(3):
            x, y, w, h = (int(n) for n in rng.integers((0, 0, 60, 60), (150, 100, 250, 200)))
            points = rng.integers((x, y, 0), (x + w, y + h, 3), (17, 3))
            points[points[:, 2] == 0] = 0
            points *= not (image == 1 and number == 0)  # a person without labelled keypoints
            entry = {"id": len(annotations) + 1, "image_id": image, "category_id": 1}
            entry.update(bbox=[x, y, w, h], area=w * h // 2, iscrowd=int(image == number == 2))
            entry["keypoints"] = points.ravel().tolist()
            entry["num_keypoints"] = int((points[:, 2] > 0).sum())
            annotations.append(entry)
    names = [f"k{number}" for number in range(17)]
    categories = [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "truth.json").write_text(json.dumps(content))
    return tmp_path / "truth.json", COCO(str(tmp_path / "truth.json"), str(tmp_path))


def found_near(dataset):
    """A detection near each object, and one that is wrong, in each image."""
    rng, found = np.random.default_rng(1), {}
    for index in range(len(dataset)):
        annotation, points = dataset.annotation(index), dataset.field("keypoints", index).points
        points = np.concatenate([points, points[:1]])
        points[..., :2] += rng.normal(0, 6, points[..., :2].shape)
        boxes = np.concatenate([annotation.boxes, annotation.boxes[:1] * np.float32(0.7)])
        order = np.argsort(-rng.uniform(size=len(boxes)))
        rows = zip(boxes[order], np.linspace(0.9, 0.2, len(boxes)), [0] * len(boxes))
        found[annotation.image_id] = replace(
            detected(*rows), class_names=dataset.class_names, keypoints=points[order]
        )
    return found


def test_the_metrics_are_those_of_pycocotools(persons, tmp_path):
    path, dataset = persons
    found = found_near(dataset)
    save_results(tmp_path / "found.json", found, dataset)
    entries = json.loads((tmp_path / "found.json").read_text())
    for entry in entries:
        del entry["bbox"]  # otherwise pycocotools takes its area for that of the keypoints
    (tmp_path / "poses.json").write_text(json.dumps(entries))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = Index(str(path))
        evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / "poses.json")), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    again = load_results(tmp_path / "found.json", dataset)
    for detections in (found, again):
        metrics = COCOEvaluator()(dataset, detections)
        ours = [value for name, value in metrics.items() if name.startswith("keypoint_")]
        np.testing.assert_allclose(ours, evaluation.stats[:6], rtol=1e-6)
    assert 0.1 < metrics["keypoint_AP"] < 0.95
    assert metrics["keypoint_AP"] < metrics["keypoint_AP50"]
