"""fit_svms: what it writes is a detector like any other, by SVMs; what it refuses."""

import json
import sys

import numpy as np
import pytest
from mxnet.gluon import HybridBlock

import detkit
from detkit.checkpoints import load_checkpoint
from detkit.config import load_config
from detkit.data import Shapes
from detkit.registry import DATASETS, POSTPROCESS
from support import regions, tiny
from support.projects import given_proposals

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def overrides(config, tmp_path_factory):
    """What makes the tiny config an R-CNN with proposals."""
    return (*regions.OVERRIDES, *given_proposals(tmp_path_factory.mktemp("given"), config))


@pytest.fixture(scope="module")
def trained(config, overrides, tmp_path_factory):
    """The folder of a trained R-CNN."""
    folder = tmp_path_factory.mktemp("rcnn")
    assert tiny.train(config, folder, *overrides, "train.pictures=0") == 0
    return folder


def run_of(folder):
    return folder / "config.yaml", folder / "checkpoints/best"


@pytest.fixture(scope="module")
def fitted(trained, tmp_path_factory):
    """The folder that the tool writes."""
    folder = tmp_path_factory.mktemp("fitted") / "svm"
    assert tiny.tool("fit_svms", *run_of(trained), "--out", folder, "--svm-c", 1) == 0
    return folder


def fitted_run(folder):
    return folder / "config.yaml", folder / "checkpoints/step-00000000"


def test_only_the_last_layers_change(trained, fitted):
    before = load_checkpoint(str(trained / "checkpoints/best")).weights
    after = load_checkpoint(str(fitted_run(fitted)[1]))
    assert before.keys() == after.weights.keys() and after.progress == (0, 0, 0)
    for name, array in after.weights.items():
        same = np.array_equal(array.asnumpy(), before[name].asnumpy())
        assert same != name.startswith(("roi_head.classes", "roi_head.boxes")), name


def test_it_detects_and_is_evaluated_and_exported(fitted, tmp_path, capsys):
    config, checkpoint = fitted_run(fitted)
    assert tiny.tool("test", config, checkpoint, "--work-dir", tmp_path) == 0
    assert json.loads((tmp_path / "result.json").read_text())["AP50"] > 0
    words = (config, checkpoint, "--ops", "mxnet", "--out")
    assert tiny.tool("export", *words, tmp_path / "out") == 0
    assert tiny.tool("export", *words, tmp_path / "int8", "--int8", "--calib", 2) == 0
    assert tiny.tool("test", config, tmp_path / "int8") == 0
    image = tiny.validation_set(config).image(0)
    boxes = np.array([[4, 4, 40, 44], [20, 10, 60, 60]])
    expected = detkit.load(config, checkpoint).detect(image, boxes)
    found = detkit.load_exported(tmp_path / "out").detect(image, boxes)
    assert len(found.boxes) > 0
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    assert detkit.load(fitted).detect(image, boxes) == expected


def test_it_is_the_same_every_time(trained, fitted, tmp_path, capsys):
    again = tmp_path / "again"
    assert tiny.tool("fit_svms", *run_of(trained), "--out", again, "--svm-c", 1) == 0
    printed = capsys.readouterr().out
    tiny.assert_says(printed, "objects  negatives  pairs", "detkit test", str(again))
    (one, before), (other, after) = fitted_run(fitted), fitted_run(again)
    assert one.read_text() == other.read_text()
    weights = [load_checkpoint(str(each)).weights for each in (before, after)]
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array.asnumpy(), weights[1][name].asnumpy(), name)


def test_its_config_has_no_training_step_and_cannot_be_trained(fitted, tmp_path, capsys):
    config, _ = fitted_run(fitted)
    assert "train_step" not in load_config(config)
    message = tiny.refused(capsys, "train", config, "--work-dir", tmp_path)
    tiny.assert_says(message, "model.postprocess.scores", "'svm'", "detkit fit-svms")


def test_a_trained_network_is_not_scored_as_svms(trained, tmp_path, capsys):
    scores = ("--set", "model.postprocess.scores=svm", "--work-dir", tmp_path)
    message = tiny.refused(capsys, "test", *run_of(trained), *scores)
    tiny.assert_says(message, "model.postprocess.scores", "'softmax' or 'sigmoid'", "found 'svm'")


def test_a_run_goes_on(config, overrides, trained, tmp_path):
    stop = "train.hooks=[{type: StopAfter, step: 2}]"
    assert tiny.train(config, tmp_path, *overrides, "train.pictures=0", stop) == 0
    resumed = {"resume": "auto", "force": True}
    assert tiny.train(config, tmp_path, *overrides, "train.pictures=0", **resumed) == 0
    last = "checkpoints/step-00000006"
    tiny.assert_same_checkpoint(tmp_path / last, trained / last)


def test_a_detector_without_such_a_head(finished, tmp_path, capsys):
    words = (finished / "configs/tiny.yaml", finished / "work/checkpoints/best")
    message = tiny.refused(capsys, "fit_svms", *words, "--out", tmp_path / "svm")
    tiny.assert_says(message, "model.type", "an RCNN with an RCNNHead", "a FasterRCNN", "FCHead")
    assert not (tmp_path / "svm").exists()


def test_a_folder_with_a_run_is_not_replaced(trained, fitted, capsys):
    message = tiny.refused(capsys, "fit_svms", *run_of(trained), "--out", fitted)
    tiny.assert_says(message, str(fitted / "config.yaml"), "not replaced", "another folder")


class Renamed(Shapes):
    """Shapes whose classes are in another order."""

    class_names = Shapes.class_names[::-1]


def test_other_classes_are_refused(trained, tmp_path, capsys):
    words = ("--out", tmp_path / "svm", "--set", "data.train={type: Renamed, length: 4}")
    with DATASETS.temporarily():
        DATASETS.register()(Renamed)
        message = tiny.refused(capsys, "fit_svms", *run_of(trained), *words)
    tiny.assert_says(message, "data.train", "'ring', 'cross'", "in this order", "'circle', ")


class Ringless(Shapes):
    """Shapes without an object of the last class."""

    def annotation(self, index):
        known = super().annotation(index)
        kept = known.labels < len(Shapes.class_names) - 1
        fields = ("boxes", "labels", "difficult")
        return known._replace(**{name: getattr(known, name)[kept] for name in fields})


def test_images_that_lack_a_class_are_named_with_their_place(trained, tmp_path, capsys):
    given = "data.train={type: Ringless, length: 12, size: [64, 64], seed: 1}"
    with DATASETS.temporarily():
        DATASETS.register()(Ringless)
        words = ("--out", tmp_path / "svm", "--set", given)
        message = tiny.refused(capsys, "fit_svms", *run_of(trained), *words)
    tiny.assert_says(message, f"--set {given}: data.train", "every class", "found none of ring;")
    assert not (tmp_path / "svm").exists()


def test_a_machine_without_scikit_learn(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    message = tiny.refused(capsys, "fit_svms", *run_of(trained), "--out", tmp_path / "svm")
    tiny.assert_says(message, "scikit-learn", "pip install 'detkit-gluon[rcnn]'")


@pytest.mark.parametrize("words", [("--svm-c", "0"), ("--ridge", "nan"), ("--passes", "0")])
def test_arguments_are_checked(words, capsys):
    with pytest.raises(SystemExit):
        tiny.tool("fit_svms", "a.yaml", "checkpoint", "--out", "out", *words)
    tiny.assert_says(capsys.readouterr().err, words[0], repr(words[1]))


class Bare(HybridBlock):
    """The proposals as they are, of class 0: a postprocessing without scores to choose."""

    box_weights = (10, 10, 5, 5)

    def hybrid_forward(self, F, proposals, scores, class_logits, box_deltas, sizes):
        return proposals, scores, scores * 0


def test_a_postprocessing_that_has_no_scores_of_svms(trained, tmp_path, capsys):
    words = ("--out", tmp_path / "svm", "--set", "model.postprocess={type: Bare}")
    with POSTPROCESS.temporarily():
        POSTPROCESS.register()(Bare)
        message = tiny.refused(capsys, "fit_svms", *run_of(trained), *words)
    tiny.assert_says(message, "model.postprocess", "a Postprocess", "found Bare")
