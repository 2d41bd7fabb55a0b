"""A plugin adds a head, its targets, its loss and its field of a batch, and touches no file of the
package (new_head.py)."""

import shutil
from contextlib import ExitStack

import numpy as np
import pytest

from detkit.config import load_config
from detkit.data import HorizontalFlip, Resize, VerticalFlip
from detkit.data.loader import Loader
from detkit.errors import DataError
from detkit.plugins import import_plugins
from detkit.registry import REGISTRIES
from support import tiny

TOPS = (
    "model.type=TopRCNN",
    "model.top_extractor={type: RoIAlign, size: 3}",
    "model.top_head={type: TopHead}",
    "train_step.top_loss={weight: 2}",
    "data.train={_delete_: true, type: ShapesWithTops, length: 12}",
    "data.val={_delete_: true, type: ShapesWithTops, length: 2, seed: 1}",
    "train.epochs=6",
    "train.log_every=18",
)


@pytest.fixture
def config(tmp_path):
    config = tiny.project(tmp_path)
    shutil.copy(tiny.ROOT / "tests/support/new_head.py", tmp_path / "plugins/new_head.py")
    with ExitStack() as stack:
        for registry in REGISTRIES.values():
            stack.enter_context(registry.temporarily())
        yield config


def test_it_trains_and_learns(config, tmp_path):
    assert tiny.train(config, tmp_path / "run", *TOPS) == 0
    records = tiny.records(tmp_path / "run", "train")
    assert list(records[0])[4:10] == [
        *("loss", "rpn_class", "rpn_box", "roi_class", "roi_box", "top"),
    ]
    assert 0 < records[-1]["top"] < 0.5 * records[0]["top"]


@pytest.fixture
def dataset(config):
    import_plugins(load_config(config))
    return REGISTRIES["dataset"].get("ShapesWithTops")(4)


def test_the_field_goes_through_the_transforms_with_the_boxes(dataset):
    transforms = [Resize(96, 96), HorizontalFlip(1.0)]
    for batch in Loader(dataset, transforms, batch_size=2, fields=["tops"]).batches(0):
        tops, boxes = batch.array("tops"), batch.array("boxes")
        assert tops.shape == (2, boxes.shape[1], 2)
        np.testing.assert_allclose(tops[..., 0], boxes[..., [0, 2]].mean(axis=2), atol=1e-4)
        np.testing.assert_allclose(tops[..., 1], boxes[..., 1], atol=1e-4)
        assert (tops[batch.labels == -1] == 0).all()


def test_top_and_bottom(dataset):
    (batch,) = Loader(dataset, [VerticalFlip(1.0)], batch_size=4, fields=["tops"]).batches(0)
    real = batch.labels >= 0
    np.testing.assert_allclose(batch.fields["tops"][real][:, 1], batch.boxes[real][:, 3])


def test_what_leaves_the_field_behind_is_refused(dataset):
    def shifted(sample, rng):
        return sample.move_boxes(lambda boxes: boxes + 1)._replace(image=sample.image.copy())

    loader = Loader(dataset, [shifted], batch_size=4, fields=["tops"])
    with pytest.raises(DataError, match=r"fields tops.*move_fields"):
        list(loader.batches(0))


def test_a_dataset_without_the_field(config, tmp_path, capsys):
    shapes = "data.train={_delete_: true, type: Shapes, length: 4, size: [64, 64]}"
    assert tiny.train(config, tmp_path / "run", *TOPS, shapes) == 1
    tiny.assert_says(capsys.readouterr().err, "Shapes", "field 'tops'")


def test_nobody_is_given_a_field_unasked(dataset):
    (batch,) = Loader(dataset, [], batch_size=4).batches(0)
    assert dict(batch.fields) == {}
