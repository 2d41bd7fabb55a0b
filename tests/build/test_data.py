"""The section ``data`` of a config: its loaders."""

import numpy as np
import pytest

from detkit.build import build_loader
from detkit.config import load_config
from detkit.data import Loader, Resize
from detkit.errors import ConfigError
from detkit.train_steps import FastRCNNTrainStep, MaskRCNNTrainStep, TrainStep
from support import tiny
from support.one_class import proposed_file
from support.photographs import photographs
from support.pictures import Pictures


def loader(tmp_path, *overrides, split="train", inputs=TrainStep.INPUTS):
    config = load_config(tiny.project(tmp_path), overrides)
    return build_loader(config, split, Pictures([(40, 60), (60, 40)] * 3), 2, inputs)


def test_groups_by_aspect_can_be_switched_off(tmp_path):
    assert len(loader(tmp_path)) == 4
    assert len(loader(tmp_path, "data.group_aspect=false")) == 3


def test_a_step_is_given_what_it_names(tmp_path):
    assert not loader(tmp_path).masks
    assert loader(tmp_path, inputs=MaskRCNNTrainStep.INPUTS).masks
    assert loader(tmp_path).proposals is None
    path = proposed_file(tmp_path / "a.npz", {str(index): [(0, 0, 9, 9)] for index in range(6)})
    stored = f"data.train_proposals={{path: {path}}}"
    given = loader(tmp_path, stored, inputs=FastRCNNTrainStep.INPUTS)
    assert given.fields == ()
    assert given.proposals["5"].tolist() == [[0, 0, 9, 9]]
    assert loader(tmp_path, inputs=(*TrainStep.INPUTS, "keypoints")).fields == ("keypoints",)


def test_images_to_be_evaluated_are_neither_shuffled_nor_changed(tmp_path):
    evaluated = loader(tmp_path, inputs=None)
    assert not evaluated.shuffle
    assert evaluated.transforms == ()
    assert loader(tmp_path).shuffle


def test_the_validation_loss_has_the_fields_of_the_step_and_the_images_of_the_evaluation(tmp_path):
    validated = loader(tmp_path, split="val", inputs=(*MaskRCNNTrainStep.INPUTS, "keypoints"))
    assert not validated.shuffle
    assert validated.transforms == ()
    assert validated.masks
    assert validated.fields == ("keypoints",)


def test_only_the_images_of_a_training_are_decoded_smaller(tmp_path):
    dataset = photographs(tmp_path / "images", [(401, 603)])
    resize = "[{type: Resize, short: 100, long: 1000}]"
    options = [f"data.{split}_transforms={resize}" for split in ("train", "val")]
    options += ["data.reduced_decoding=true", "data.workers=0"]
    config = load_config(tiny.project(tmp_path), options)
    kinds = ("train", TrainStep.INPUTS), ("train", None), ("val", TrainStep.INPUTS)
    batches = [
        next(build_loader(config, split, dataset, 1, inputs).batches(0)) for split, inputs in kinds
    ]
    (plain,) = Loader(dataset, [Resize(100, 1000)], 1).batches(0)
    same = [np.array_equal(batch.images, plain.images) for batch in batches]
    assert same == [False, True, True]
    with pytest.raises(ConfigError, match="reduced_decoding: expected .*found 4"):
        wrong = load_config(tiny.project(tmp_path), [*options, "data.reduced_decoding=4"])
        build_loader(wrong, "train", dataset, 1, TrainStep.INPUTS)
