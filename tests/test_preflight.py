"""What is checked, and said, before the first step."""

import numpy as np
import pytest

from detkit.build.training import Training
from detkit.config import load_config
from detkit.data import Annotation
from detkit.detections import Detections
from detkit.detections.proposal_files import save_proposals
from detkit.errors import ConfigError, DataError
from detkit.plugins import import_plugins
from detkit.preflight import preflight
from detkit.registry import DATASETS
from support import tiny
from support.projects import FAST_RCNN


class Listed:
    """A dataset of grey 64 x 64 images with the boxes it is given, one list for each image."""

    def __init__(self, boxes, names=("a", "b"), labels=None, difficult=False):
        self.class_names = tuple(names)
        self.dropped, self.bad_images = [], []
        self._boxes, self._labels, self._difficult = boxes, labels, difficult

    def __len__(self):
        return len(self._boxes)

    def annotation(self, index):
        count = len(self._boxes[index])
        return Annotation(
            image_id=f"image{index}",
            width=64,
            height=64,
            boxes=np.array(self._boxes[index], np.float32).reshape(-1, 4),
            labels=np.array(self._labels[index] if self._labels else [0] * count, np.int32),
            difficult=np.full(count, self._difficult),
        )

    def image(self, index):
        return np.full((64, 64, 3), 99, np.uint8)

    def masks(self, index):
        return None


BOX = (10, 10, 34, 34)
FITS = {"boxes": [[BOX], [BOX, (1, 1, 13, 25)]], "labels": [[0], [1, 1]]}


@pytest.fixture
def training(tmp_path, monkeypatch):
    """Builds a Training on two Listed datasets, of which ``val`` is sound by default."""
    path = tiny.project(tmp_path)
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))

    def build(train, val=None, *overrides):
        val = Listed(**FITS) if val is None else val
        for name, dataset in (("Train", train), ("Val", val)):
            DATASETS.register(name, force=True)(lambda dataset=dataset: dataset)
        data = ["data.train={type: Train}", "data.val={type: Val}"]
        config = load_config(path, [*data, *overrides])
        import_plugins(config)
        return Training(config)

    return build


def test_ten_lines_at_most_say_what_there_is(training):
    lines = preflight(training(Listed(**FITS)))
    assert len(lines) <= 10
    assert lines[0] == "classes  2: a, b"
    assert lines[1] == "train    2 images, 0 without an object; 3 boxes and 0 difficult: a 1, b 2"
    assert lines[2] == "         no box dropped; no bad image"
    assert lines[3].startswith("val      2 images")
    assert lines[5].startswith("anchors  2 at each cell, 2 of them smaller than the images")
    assert lines[6] == (
        "         0.0% of the objects have no anchor of IoU 0.5; anchors no object reaches: none"
    )
    assert lines[-1] == "schedule 2 epochs of 1 steps, 2 in all, on cpu(0)"
    assert all(len(line) <= 160 for line in lines)


def test_difficult_dropped_and_bad_are_counted(training):
    train = Listed(boxes=[[BOX], []] + [[BOX]] * 200)
    train.dropped = [("image7", '"a": box 1 1 1 1 has no area'), ("image9", "the second")]
    train.bad_images = [("image8", "image8.jpg: JPEG truncated after 9 bytes")]
    lines = preflight(training(train, Listed([[BOX], [BOX]])))
    assert lines[1].startswith(
        "train    202 images, 1 without an object; 201 boxes and 0 difficult"
    )
    assert lines[2] == (
        '         2 boxes dropped, the first in image7: "a": box 1 1 1 1 has no area; 1 bad images '
        "skipped, the first image8: image8.jpg: JPEG truncated after 9 bytes"
    )


def test_anchors_and_objects_that_do_not_meet_are_told(training):
    train = Listed([[(0, 0, 4, 4), BOX, (0, 0, 60, 60)]])
    lines = preflight(training(train, None, "model.anchors.sizes=[24, 40, 100]"))
    assert "3 at each cell, 2 of them smaller than the images" in lines[5]
    assert "90 % of 6 to 56 pixels, median 24" in lines[5]
    assert lines[6].strip() == (
        "66.7% of the objects have no anchor of IoU 0.5; anchors no object reaches: 40x40, 100x100"
    )


def test_boxes_are_compared_as_the_network_sees_them(training):
    resize = "data.train_transforms=[{type: Resize, short: 128, long: 128}]"
    lines = preflight(training(Listed([[BOX]]), None, resize))
    assert "90 % of 48 to 48 pixels" in lines[5]


def test_proposals_are_counted_and_compared_with_the_objects(training, tmp_path):
    """Two of the three objects have one, of IoU 1 and 0.5; the second object's image has none."""
    boxes = [[BOX], [BOX], [(0, 0, 40, 40)]]
    given = [[BOX, (0, 0, 9, 9), (0, 0, 8, 8)], [], [(0, 0, 40, 20)]]
    found = {f"image{index}": proposed(rows) for index, rows in enumerate(given)}
    save_proposals(tmp_path / "a.npz", found, Listed(boxes, names=["object"]))
    paths = [f"data.{name}_proposals={{path: {tmp_path}/a.npz}}" for name in ("train", "val")]
    lines = preflight(training(Listed(boxes), Listed(boxes), *FAST_RCNN, *paths))
    assert lines[5] == (
        "proposed 1 boxes an image, 1 images without any; 66.7% of the 3 objects in the first 64 "
        "images have one of IoU 0.5"
    )
    assert len(lines) <= 10


def proposed(boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    return Detections(boxes, np.ones(count, np.float32), np.zeros(count, np.int32), ("object",))


def test_a_network_with_frozen_weights_says_how_many_learn(training):
    frozen = "model.backbone={type: VGG, depth: 11, frozen_stages: 5}"
    found = training(Listed(**FITS), None, frozen)
    network = preflight(found)[7]
    assert network == "network  9.4 million weights, 0.1 million of them trained"


# --- errors ---------------------------------------------------------------------------------------


def assert_refused(built, *fragments):
    with pytest.raises(DataError) as caught:
        preflight(built)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_no_image_is_an_error(training):
    empty = Listed([])
    empty.bad_images = [("image0", "is empty (0 bytes)")]
    message = "found no images, expected at least one; 1 bad images skipped, the first image0: is e"
    assert_refused(training(empty), "--set data.train={type: Train}: data.train: ", message)
    assert_refused(training(Listed(**FITS), empty), "data.val: ", message)


@pytest.mark.parametrize("boxes", [{"boxes": [[], []]}, {"boxes": [[BOX]], "difficult": True}])
def test_no_object_is_an_error(training, boxes):
    dataset = Listed(**boxes)
    dataset.dropped = [("image0", 'class "c" is not in class_names')]
    where = f"data.train: found no object in {len(dataset)} images"
    assert_refused(training(dataset), where, "1 boxes dropped", 'class "c" is not in', "class name")
    assert_refused(training(Listed(**FITS), dataset), "data.val: found no object")


@pytest.mark.parametrize("split", ["train", "val"])
def test_more_than_one_percent_bad_images_are_an_error(training, split):
    bad = Listed([[BOX]] * 198)
    bad.bad_images = [(f"bad{index}", "is empty (0 bytes)") for index in range(3)]
    sets = (bad, None) if split == "train" else (Listed(**FITS), bad)
    assert_refused(training(*sets), "3 of 201 images", "1 %", "bad0: is")
    bad.bad_images.pop()
    preflight(training(*sets))


def test_anchors_larger_than_every_image_are_an_error(training):
    assert_refused(
        training(
            Listed(**FITS), None, "model.anchors={type: AnchorGrid, sizes: [90, 70], ratios: [1]}"
        ),
        "model.anchors: no anchor fits into the images, which are at most 64 x 64 pixels",
        "the smallest is 70 x 70: choose smaller anchors",
    )


def test_class_lists_of_training_and_validation_must_agree(training):
    with pytest.raises(ConfigError) as caught:
        training(Listed(**FITS), Listed([[BOX]], names=("b", "a")))
    assert str(caught.value) == (
        "--set data.val={type: Val}: data.val: the class list of data.val, ['b', 'a'], is not that "
        "of data.train, ['a', 'b']; give both the same names in the same order"
    )
