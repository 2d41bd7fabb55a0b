"""The section ``data`` of a config: its loaders."""

import numpy as np
import pytest

from detkit.build import build_loader
from detkit.build.data import build_cache
from detkit.build.sections import open_config
from detkit.build.training import Training
from detkit.config import load_config
from detkit.data import Loader, Resize
from detkit.data.caches import DiskCache, MemoryCache
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


def test_the_section_of_the_cache(tmp_path):
    def cache(setting):
        return build_cache(load_config(tiny.project(tmp_path), [f"data.cache={setting}"]))

    assert build_cache(load_config(tiny.project(tmp_path))) is None
    assert cache("null") is None
    assert isinstance(cache("{type: memory, limit_mb: 3}"), MemoryCache)
    folder = tmp_path / "cache"
    assert isinstance(cache(f"{{type: disk, folder: {folder}}}"), DiskCache)
    assert folder.is_dir()
    for wrong, says in (
        ("memory", "data.cache: expected a mapping, found 'memory'"),
        ("{type: dsk}", "data.cache.type: expected memory or disk, found 'dsk'.*disk"),
        ("{limit_mb: 3}", "data.cache: .*type"),
        ("{type: disk}", "data.cache: .*'folder'"),
        ("{type: memory, limit_mb: 0}", "data.cache.limit_mb: .*at least 1 .*found 0"),
        ("{type: memory, limit: 3}", "data.cache.limit: .*limit_mb"),
    ):
        with pytest.raises(ConfigError, match=says):
            cache(wrong)


def test_a_training_shares_one_cache_and_learns_the_same(tmp_path):
    def train(name, *overrides):
        path = tiny.project(tmp_path / name)
        training = Training(open_config(path, ["train.epochs=2", *overrides]))
        training.train(str(tmp_path / name / "run"))
        weights = training.model.collect_params()
        return training, [each.data().asnumpy() for each in weights.values()]

    _, plain = train("plain")
    training, cached = train("cached", "data.cache={type: memory}")
    images = len(training.train_set) + len(training.val_set)
    height, width = training.train_set.image(0).shape[:2]
    assert training.cache.used == images * height * width * 3
    for one, other in zip(plain, cached):
        np.testing.assert_array_equal(one, other)
