"""The checks before the first step, and the lines that describe a training."""

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
from support.tiny import assert_says as says


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
def training(tmp_path):
    """Builds a Training on two Listed datasets, of which ``val`` is valid by default."""
    path = tiny.project(tmp_path)

    def build(train, val=None, *overrides):
        val = Listed(**FITS) if val is None else val
        for name, dataset in (("Train", train), ("Val", val)):
            DATASETS.register(name, force=True)(lambda dataset=dataset: dataset)
        data = ["data.train={type: Train}", "data.val={type: Val}"]
        config = load_config(path, [*data, *overrides])
        import_plugins(config)
        return Training(config)

    with DATASETS.temporarily():
        yield build


def test_a_training_is_described_in_ten_lines_at_most(training):
    lines = preflight(training(Listed(**FITS)))
    assert len(lines) <= 10
    says(lines[0], "classes ", "2: a, b")
    says(lines[1], "train ", "2 images", "0 without", "3 boxes", "0 difficult", "a 1, b 2")
    says(lines[2], "no box dropped", "no bad image")
    says(lines[3], "val ", "2 images")
    says(lines[5], "anchors ", "2 at each cell", "2 of them smaller")
    says(lines[6], "0.0% of the objects", "IoU 0.5", ": none")
    says(lines[-1], "schedule ", "2 epochs of 1 steps", "2 in all", "cpu(0) in fp32")
    assert all(len(line) <= 160 for line in lines)


def test_difficult_dropped_and_bad_are_counted(training):
    train = Listed(boxes=[[BOX], []] + [[BOX]] * 200)
    train.dropped = [("image7", '"a": box 1 1 1 1 has no area'), ("image9", "the second")]
    train.bad_images = [("image8", "image8.jpg: JPEG truncated after 9 bytes")]
    lines = preflight(training(train, Listed([[BOX], [BOX]])))
    says(lines[1], "train ", "202 images", "1 without", "201 boxes", "0 difficult")
    says(lines[2], "2 boxes dropped for 2 reasons; 1 bad images", "image8: image8.jpg: JPEG trunc")
    says(lines[3], "1 boxes dropped", 'image7: "a": box 1 1 1 1 has no area')
    says(lines[4], "1 boxes dropped", "image9: the second")


def test_every_reason_of_dropped_boxes_is_counted(training):
    train = Listed(boxes=[[BOX]] * 2)
    boxes = [f'a{n}.xml:{n}: "a": box {n} 1 {n}.5 1 has no area' for n in range(3)]
    names = ['b.xml:9: "Raccoon" is not in class_names (the nearest is "raccoon")'] * 4
    others = ["a third reason with 7 numbers"]
    faults = [*boxes, *names, *others]
    train.dropped = [(f"image{n}", reason) for n, reason in enumerate(faults)]
    lines = preflight(training(train))
    says(lines[2], "8 boxes dropped for 3 reasons; no bad image")
    says(lines[3], "4 boxes dropped, the first in image3: b.xml:9", '"Raccoon" is not', "raccoon")
    says(lines[4], "3 boxes dropped, the first in image0: a0.xml:0", '"a": box 0 1 0.5 1 has no')
    says(lines[5], "1 boxes dropped, the first in image7: a third")
    train.dropped = [("image0", f"reason {chr(97 + n)}") for n in range(12)]
    lines = preflight(training(train))
    says(lines[2], "12 boxes dropped for 12 reasons")
    says(lines[11], "and 4 more reasons")
    train.dropped = [("image0", reason) for reason in boxes]
    says(preflight(training(train))[2], "3 boxes dropped, the first in image0: a0.xml:0", "no bad")


def test_boxes_among_polygons_are_counted(training):
    class Outlined(Listed):
        def segmentations(self, index):
            return [[np.array(BOX)], None][: len(self._boxes[index])]

    mixed, none = Outlined(**FITS), Listed(**FITS)
    says(preflight(training(mixed, none))[3], "without a polygon", "are their boxes: 1")
    assert "polygon" not in "".join(preflight(training(none)))


def test_anchors_and_objects_that_do_not_match_are_counted(training):
    train = Listed([[(0, 0, 4, 4), BOX, (0, 0, 60, 60)]])
    lines = preflight(training(train, None, "model.anchors.sizes=[24, 40, 100]"))
    says(lines[5], "3 at each cell", "2 of them smaller", "6 pixels", "median 24", "above 56")
    says(lines[6], "66.7% of the objects", "IoU 0.5", ": 40x40, 100x100")


def test_anchors_that_fit_few_objects_are_warned_about_and_others_proposed(training):
    train = Listed([[(0, 0, 10, 10), BOX, (0, 0, 60, 60)]])
    lines = preflight(training(train, None, "model.anchors.sizes=[24, 40, 100]"))
    says(lines[7], "warning: ", "tiny.yaml:7: model.anchors: ", "66.7% of them")
    says(lines[8], "0.0% with --set 'model.anchors.sizes=[10, 24, 60]' 'model.anchors.ratios=[1.0]")
    sizes, ratios = (word for word in lines[8].split("'") if "model.anchors" in word)
    lines = preflight(training(train, None, sizes, ratios))
    assert not any("warning" in line for line in lines)
    says(lines[6], "0.0% of the objects")


def test_boxes_are_compared_as_the_network_sees_them(training):
    resize = "data.train_transforms=[{type: Resize, short: 128, long: 128}]"
    lines = preflight(training(Listed([[BOX]]), None, resize))
    says(lines[5], "below 48 pixels", "above 48")


def test_proposals_are_counted_and_compared_with_the_objects(training, tmp_path):
    """Two of the three objects have one, of IoU 1 and 0.5; the second object's image has none."""
    boxes = [[BOX], [BOX], [(0, 0, 40, 40)]]
    given = [[BOX, (0, 0, 9, 9), (0, 0, 8, 8)], [], [(0, 0, 40, 20)]]
    by_id = {f"image{index}": proposed(rows) for index, rows in enumerate(given)}
    save_proposals(tmp_path / "a.npz", by_id, Listed(boxes, names=["object"]))
    paths = [f"data.{name}_proposals={{path: {tmp_path}/a.npz}}" for name in ("train", "val")]
    lines = preflight(training(Listed(boxes), Listed(boxes), *FAST_RCNN, *paths))
    says(lines[5], "proposed ", "1 boxes an image", "1 images without", "66.7% of the 3 objects")
    says(lines[5], "64 images", "IoU 0.5")
    assert len(lines) <= 10


def proposed(boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    return Detections(boxes, np.ones(count, np.float32), np.zeros(count, np.int32), ("object",))


def test_a_network_with_frozen_weights_says_how_many_learn(training):
    frozen = "model.backbone={type: VGG, depth: 11, frozen_stages: 5}"
    built = training(Listed(**FITS), None, frozen)
    says(preflight(built)[7], "network ", "9.4 million weights", "0.1 million of them trained")


# --- errors ---------------------------------------------------------------------------------------


def assert_refused(built, *fragments):
    with pytest.raises(DataError) as caught:
        preflight(built)
    says(str(caught.value), *fragments)


def test_no_image_is_an_error(training):
    empty = Listed([])
    empty.bad_images = [("image0", "is empty (0 bytes)")]
    found = ("at least one image", "found none", "1 bad images", "image0: is empty (0 bytes)")
    assert_refused(training(empty), "--set data.train={type: Train}: data.train: ", *found)
    assert_refused(training(Listed(**FITS), empty), "data.val: ", *found)


@pytest.mark.parametrize("boxes", [{"boxes": [[], []]}, {"boxes": [[BOX]], "difficult": True}])
def test_no_object_is_an_error(training, boxes):
    dataset = Listed(**boxes)
    dataset.dropped = [("image0", 'class "c" is not in class_names')]
    found = ("at least one object", f"none in {len(dataset)} images", "1 boxes dropped")
    assert_refused(training(dataset), "data.train: ", *found, 'class "c" is not in', "class name")
    assert_refused(training(Listed(**FITS), dataset), "data.val: ", *found)


@pytest.mark.parametrize("split", ["train", "val"])
def test_more_than_one_percent_bad_images_are_an_error(training, split):
    bad = Listed([[BOX]] * 198)
    bad.bad_images = [(f"bad{index}", "is empty (0 bytes)") for index in range(3)]
    sets = (bad, None) if split == "train" else (Listed(**FITS), bad)
    assert_refused(training(*sets), "3 of 201", "1%", "bad0: is empty", "data.bad_images")
    preflight(training(*sets, *[None] * (len(sets) < 2), "data.bad_images=1.5%"))
    bad.bad_images.pop()
    preflight(training(*sets))


def test_anchors_larger_than_every_image_are_an_error(training):
    assert_refused(
        training(
            Listed(**FITS), None, "model.anchors={type: AnchorGrid, sizes: [90, 70], ratios: [1]}"
        ),
        "model.anchors: ",
        "no anchor fits",
        "64 x 64 pixels",
        "70 x 70",
        "smaller anchors",
    )


def test_class_lists_of_training_and_validation_must_agree(training):
    with pytest.raises(ConfigError) as caught:
        training(Listed(**FITS), Listed([[BOX]], names=("b", "a")))
    assert str(caught.value) == (
        "--set data.val={type: Val}: data.val: expected the classes of data.train, ['a', 'b'], "
        "found ['b', 'a']; give both the same names in the same order"
    )
