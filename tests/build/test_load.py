"""A run that begins with the weights of another one."""

import numpy as np
import pytest

import detkit
from detkit.checkpoints import load_checkpoint
from detkit.config import load_config
from support import tiny


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A finished run of one epoch: the project's folder."""
    return tiny.finished_project(tmp_path_factory.mktemp("first"))


def start(project, name, *overrides):
    """Exit status of a run of no learning from the first one's last checkpoint; its folder."""
    work, checkpoint = project / name, project / "work/checkpoints/best"
    still = ("train.epochs=1", "train.lr=1e-30", f"train.start_from={checkpoint}")
    return tiny.train(project / "configs/tiny.yaml", work, *still, *overrides), work


def weights(work):
    return load_checkpoint(str(work / "checkpoints/best")).weights


def test_all_weights_are_taken_over(first, capsys):
    status, work = start(first, "same")
    assert status == 0
    assert "work/checkpoints/" in capsys.readouterr().out.split("starting from the weights of ")[1]
    expected = weights(first / "work")
    for name, array in weights(work).items():
        if "running" not in name:
            np.testing.assert_allclose(array.asnumpy(), expected[name].asnumpy(), atol=1e-7)


def test_the_last_layers_of_other_classes_are_initialised(first, capsys):
    agnostic = "model.roi_head.class_agnostic=true"
    status, work = start(first, "other", agnostic)
    assert status == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "at random: roi_head.boxes.weight, roi_head.boxes.bias")
    expected = weights(first / "work")["rpn_head.deltas.weight"].asnumpy()
    np.testing.assert_allclose(weights(work)["rpn_head.deltas.weight"].asnumpy(), expected)


def test_a_dry_run_says_so_too(first, capsys):
    checkpoint = first / "work/checkpoints/best"
    arguments = ("--dry-run", "--set", f"train.start_from={checkpoint}")
    assert tiny.tool("train", first / "configs/tiny.yaml", *arguments) == 0
    assert "starting from" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["nowhere", "configs"])
def test_a_folder_without_a_checkpoint_is_refused(first, missing, capsys):
    overrides = ("--set", f"train.start_from={first / missing}")
    arguments = (first / "configs/tiny.yaml", "--dry-run", *overrides)
    message = tiny.refused(capsys, "train", *arguments)
    tiny.assert_says(message, "train.start_from", missing)


def test_another_backbone_is_refused(first, capsys):
    checkpoint = first / "work/checkpoints/best"
    overrides = (f"train.start_from={checkpoint}", "model.backbone={type: ZF}")
    arguments = (first / "configs/tiny.yaml", "--dry-run", "--set", *overrides)
    message = tiny.refused(capsys, "train", *arguments)
    tiny.assert_says(message, "weights of the backbone", "10 missing", "conv1.weight")


OTHER = ("model.anchors.sizes=[20, 40]", "model.normalize.mean=[1, 2, 3]")


def test_a_configs_own_anchors_and_normalisation_win(first, caplog):
    status, work = start(first, "constants", *OTHER)
    assert status == 0
    tiny.assert_says(caplog.text, "the config's", "normalize.mean", "anchors.")
    found, before = weights(work), weights(first / "work")
    assert found["normalize.mean"].asnumpy().ravel().tolist() == [1, 2, 3]
    (anchors,) = (name for name in found if name.startswith("anchors."))
    assert not np.array_equal(found[anchors].asnumpy(), before[anchors].asnumpy())


def test_a_checkpoint_that_is_loaded_keeps_the_configs_constants(first, caplog):
    checkpoint = str(tiny.best(first / "work"))
    config = load_config(first / "configs/tiny.yaml", OTHER)
    model = detkit.load(config, checkpoint, device="cpu").model
    assert model.normalize.mean.data().asnumpy().ravel().tolist() == [1, 2, 3]
    (record,) = caplog.records
    tiny.assert_says(record.getMessage(), checkpoint, "normalize.mean", "anchors.")
    caplog.clear()
    detkit.load(load_config(first / "configs/tiny.yaml"), checkpoint, device="cpu")
    assert not caplog.records
