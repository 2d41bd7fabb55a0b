"""data.filter against py-faster-rcnn's rule, in the preflight, the log and the batches."""

import numpy as np
import pytest

from detkit.build.left_out import find_left_out
from detkit.build.training import Training
from detkit.config import load_config
from detkit.data import Annotation
from detkit.plugins import import_plugins
from detkit.preflight import preflight
from detkit.registry import DATASETS
from support import oracles, tiny
from support.one_class import proposed_file
from support.projects import FAST_RCNN

SIDE = 64
NO_AREA = (70, 3, 90, 9)  # outside of the image
# Of each image: its objects, its difficult objects, its proposals.
IMAGES = {
    "object": ([(10, 10, 34, 34)], [], [(0, 0, 9, 9)]),
    "object alone": ([(10, 10, 34, 34)], [], []),
    "nothing": ([], [], []),
    "background": ([], [], [(0, 0, 20, 20), NO_AREA]),
    "outside": ([], [], [NO_AREA]),
    "difficult": ([], [(0, 0, 30, 30)], [(40, 40, 60, 60)]),
    "within difficult": ([], [(0, 0, 30, 30)], [(2, 2, 20, 20)]),
    "both": ([(10, 10, 34, 34)], [(0, 0, 30, 30)], [(2, 2, 20, 20)]),
}


class Listed:
    """The images above, as grey squares."""

    class_names, dropped, bad_images = ("a", "b"), (), ()

    def __init__(self, names=tuple(IMAGES)):
        self._names = names

    def __len__(self):
        return len(self._names)

    def annotation(self, index):
        objects, difficult, _ = IMAGES[self._names[index]]
        boxes = np.array([*objects, *difficult], np.float32).reshape(-1, 4)
        flags = np.arange(len(boxes)) >= len(objects)
        labels = np.zeros(len(boxes), np.int32)
        return Annotation(self._names[index], SIDE, SIDE, boxes, labels, flags)

    def image(self, index):
        return np.full((SIDE, SIDE, 3), 99, np.uint8)

    def masks(self, index):
        return None


@pytest.fixture
def open_with(tmp_path):
    """A function that opens the tiny config on these images, with overrides."""
    path = tiny.project(tmp_path)

    def open_with(*overrides):
        DATASETS.register("Listed", force=True)(lambda: Listed())
        data = ["data.train={type: Listed}", "data.val={type: Listed}"]
        config = load_config(path, [*data, *overrides])
        import_plugins(config)
        return config

    with DATASETS.temporarily():
        yield open_with


@pytest.fixture
def fast_rcnn(tmp_path):
    """Overrides of a Fast R-CNN on the proposals above."""
    given = {name: boxes for name, (_, _, boxes) in IMAGES.items()}
    path = proposed_file(tmp_path / "given.npz", given)
    return (*FAST_RCNN, *(f"data.{s}_proposals={{path: {path}}}" for s in ("train", "val")))


def py_faster_rcnns(name, high, low):
    """Whether filter_roidb keeps an image: a RoI is foreground or in the range of background."""
    objects, _, proposals = IMAGES[name]
    rois = [*objects, *(box for box in proposals if box != NO_AREA)]
    overlaps = oracles.iou_matrix(np.array(rois).reshape(-1, 4), np.array(objects).reshape(-1, 4))
    best = overlaps.max(axis=1, initial=0)
    return bool(((best >= high) | ((best < high) & (best >= low))).any())


def left_out(config):
    dataset = Listed()
    given = {name: np.array(b, np.float32).reshape(-1, 4) for name, (_, _, b) in IMAGES.items()}
    return [dataset.annotation(index).image_id for index in find_left_out(config, dataset, given)]


@pytest.mark.parametrize("low", [0, 0.1])
def test_rois_is_py_faster_rcnns_rule(open_with, fast_rcnn, low):
    """py-faster-rcnn knows no regions to ignore, and with crowd_share 1 detkit does not either."""
    assigner = (
        f"{{type: MaxIoUAssigner, pos_iou: 0.5, neg_iou: 0.5, neg_low: {low}, crowd_share: 1}}"
    )
    own = f"train_step.roi_targets.assigner={assigner}"
    found = left_out(open_with(*fast_rcnn, own, "data.filter=rois"))
    assert found == [name for name in IMAGES if not py_faster_rcnns(name, 0.5, low)]
    assert ("background" in found) == (low > 0)


def test_a_proposal_within_a_difficult_object_is_not_trained_on(open_with, fast_rcnn):
    found = left_out(open_with(*fast_rcnn, "data.filter=rois"))
    assert found == ["nothing", "outside", "within difficult"]


@pytest.mark.parametrize("fast", [False, True])
def test_objects_leaves_out_images_without_an_ordinary_object(open_with, fast_rcnn, fast):
    config = open_with(*(fast_rcnn if fast else ()), "data.filter=objects")
    without = [name for name, (objects, _, _) in IMAGES.items() if not objects]
    assert left_out(config) == without


def test_without_the_key_every_image_is_kept(open_with):
    assert left_out(open_with()) == left_out(open_with("data.filter=null")) == []


def test_a_training_says_counts_and_leaves_them_out(open_with, fast_rcnn, tmp_path):
    training = Training(open_with(*fast_rcnn, "data.filter=rois", "train.epochs=1"))
    (line,) = (line for line in preflight(training) if line.startswith("filter "))
    reason = "no object, and no proposal of 0 is trained on"
    tiny.assert_says(line, "3 of 8 images", "the first nothing", reason)
    for epoch in range(2):
        seen = [name for batch in training.loader.batches(epoch) for name in batch.image_ids]
        assert sorted(seen) == sorted(set(IMAGES) - {"nothing", "outside", "within difficult"})
    assert len(training.loader) == 2  # batches of 4
    assert len(training.val_loader) == 2
    assert not training.val_loader.left_out
    work = tmp_path / "work"
    training.runner(str(work)).run()
    records = tiny.records(work, "left_out")
    assert [record["image_id"] for record in records] == ["nothing", "outside", "within difficult"]
    assert records[0]["reason"] == reason


def test_a_training_without_the_key_says_nothing(open_with):
    lines = preflight(Training(open_with()))
    assert not [line for line in lines if line.startswith("filter ")]


@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        ("rois", ["data.filter: expected objects", "'FasterRCNN' makes its own", "'rois'"]),
        ("object", ["data.filter: expected objects or rois", "'object'", "did you mean 'objects'"]),
        ("true", ["data.filter: expected objects or rois", "True"]),
        ("[objects]", ["data.filter: expected objects or rois"]),
    ],
)
def test_another_value_is_refused(config, value, fragments, capsys):
    words = ("--dry-run", "--set", f"data.filter={value}")
    tiny.assert_says(tiny.refused(capsys, "train", config, *words), *fragments)
