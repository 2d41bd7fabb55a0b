"""Trainings on several devices: they do what one device does with the same batches."""

import numpy as np
import pytest

from detkit.checkpoints import folder_of, load_checkpoint
from support import tiny
from support.steps import training

ONE, TWO = "train.device=cpu", "train.device=['cpu:1','cpu:0']"
BACKBONE = "model.backbone={_delete_: true, type: VGG, depth: 11, frozen_stages: 0, norm: %s}"
BATCHES = ("data.train.length=10", "train.batch_size=4", "train.lr=0.002")  # the last one has 2
STEPS = (*BATCHES, BACKBONE % "null", "train.log_every=1", "train.epochs=1")
DRY = "model.roi_head.dropout=0"  # its masks are drawn for the images of a device


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return tiny.project(tmp_path_factory.mktemp("devices"))


def losses(folder):
    kinds = ("loss", "rpn_class", "rpn_box", "roi_class", "roi_box")
    return np.array([[record[kind] for kind in kinds] for record in tiny.records(folder, "train")])


def last(folder):
    return folder_of(str(folder / "checkpoints/last"))


def trained(config, folder, *overrides):
    """The losses of each step, and the weights in the end."""
    assert tiny.train(config, folder, *overrides) == 0
    weights = load_checkpoint(last(folder)).weights
    return losses(folder), {name: array.asnumpy() for name, array in weights.items()}


def assert_equal(one, two, tolerance=1e-4):
    assert one[0].shape == two[0].shape
    np.testing.assert_allclose(two[0], one[0], rtol=0, atol=tolerance)
    for name, weight in one[1].items():
        np.testing.assert_allclose(two[1][name], weight, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("train.batch_size=3",),  # a device has two images, and in the last batch one has none
        ("train.accumulate=2", "train.clip_norm=0.5", "train.epochs=2"),
        ("train.optimizer={type: AdamW}", "train.momentum=null", "train.ema=0.9"),
    ],
    ids=["plain", "uneven", "accumulated", "averaged"],
)
def test_two_devices_train_as_one(config, tmp_path, options):
    one = trained(config, tmp_path / "one", *STEPS, DRY, *options, ONE)
    two = trained(config, tmp_path / "two", *STEPS, DRY, *options, TWO)
    assert_equal(one, two)


def test_each_device_has_the_same_weights(tmp_path):
    made = training(tmp_path, *STEPS, TWO)
    made.train(str(tmp_path / "run"))
    for name, weight in made.model._collect_params_with_prefix().items():
        first, second = (array.asnumpy() for array in weight.list_data())
        assert np.array_equal(first, second), name


@pytest.mark.parametrize(
    "options", [(), ("train.optimizer={type: Adam}", "train.momentum=null", "train.accumulate=2")]
)
def test_a_run_on_two_devices_goes_on_bit_for_bit(config, tmp_path, options):
    options = (*STEPS, "train.epochs=2", TWO, *options)
    assert tiny.train(config, tmp_path / "whole", *options) == 0
    stopped = (*options, tiny.hook("SignalAt", step=4))
    assert tiny.train(config, tmp_path / "parts", *stopped) == 143
    assert tiny.train(config, tmp_path / "parts", *options, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(last(tmp_path / "whole"), last(tmp_path / "parts"))


def test_a_batch_needs_an_image_for_each_device(config, tmp_path, capsys):
    message = tiny.refused(capsys, "train", config, "--set", TWO, "train.batch_size=1")
    tiny.assert_says(message, "train.batch_size", "2 devices", "found 1")
