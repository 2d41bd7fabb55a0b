"""A run that begins with parts of several checkpoints."""

import numpy as np
import pytest

from detkit.checkpoints import load_checkpoint
from support import tiny

# Nothing is learnt, so that the weights at the end are those at the start.
STILL = ("train.epochs=1", "train.lr=1e-30")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A project with two runs of one epoch, from two seeds, in a/ and b/."""
    folder = tmp_path_factory.mktemp("runs")
    config = tiny.project(folder)
    for name, seed in (("a", 5), ("b", 6)):
        assert tiny.train(config, folder / name, "train.epochs=1", f"seed={seed}") == 0
    return folder


def best(folder):
    return folder / "checkpoints/best"


def weights(folder):
    found = load_checkpoint(str(best(folder))).weights
    return {name: array.asnumpy() for name, array in found.items() if "running" not in name}


def started(runs, name, parts, *overrides):
    """Exit status and folder of a run that begins with {part: run}."""
    sources = ", ".join(f"{part}: {best(runs / run)}" for part, run in parts.items())
    chosen = (*STILL, f"train.start_from={{{sources}}}", *overrides)
    return tiny.train(runs / "configs/tiny.yaml", runs / name, *chosen), runs / name


def test_each_part_is_taken_from_its_checkpoint_and_the_others_stay(runs, capsys):
    assert tiny.train(runs / "configs/tiny.yaml", runs / "new", *STILL) == 0
    status, work = started(runs, "mixed", {"backbone": "a", "roi_head": "b"})
    assert status == 0
    expected = {"backbone": "a", "roi_head": "b", "rpn_head": "new"}
    for name, array in weights(work).items():
        part = name.partition(".")[0]
        if part in expected:
            theirs = weights(runs / expected[part])[name]
            np.testing.assert_allclose(array, theirs, atol=1e-7, err_msg=name)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "starting" in line)
    tiny.assert_says(line, "backbone in", str(runs / "a"), "roi_head in", str(runs / "b"))
    assert "at random" not in line


def test_parts_of_one_checkpoint_are_named_together(runs, capsys):
    status, _ = started(runs, "two", {"backbone": "a", "rpn_head": "a"})
    assert status == 0
    assert "backbone and rpn_head in" in capsys.readouterr().out


def test_the_last_layers_of_a_part_for_other_classes_are_initialised(runs, capsys):
    agnostic = "model.roi_head.class_agnostic=true"
    status, work = started(runs, "agnostic", {"roi_head": "b"}, agnostic)
    assert status == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "at random: roi_head.boxes.weight, roi_head.boxes.bias")
    same = "roi_head.classes.weight"
    np.testing.assert_allclose(weights(work)[same], weights(runs / "b")[same], atol=1e-7)


@pytest.mark.parametrize(
    ("mapping", "fragments"),
    [
        ("{backbon: A}", ("start_from.backbon", "did you mean 'backbone'", "rpn_head, roi_head")),
        ("{anchors: A}", ("start_from.anchors", "accepted: backbone, rpn_head, roi_head")),
        ("{}", ("train.start_from", "no part", "backbone, rpn_head, roi_head")),
        ("{roi_head: 3}", ("start_from.roi_head", "expected str", "3 (int)")),
        ("{roi_head: nowhere}", ("start_from.roi_head", "nowhere", "no such folder")),
    ],
)
def test_a_wrong_part_or_folder_is_refused(runs, mapping, fragments, capsys):
    overrides = ("--dry-run", "--set", f"train.start_from={mapping}")
    message = tiny.refused(capsys, "train", runs / "configs/tiny.yaml", *overrides)
    tiny.assert_says(message, *fragments)


def test_a_part_of_another_network_is_refused_by_its_name(runs, capsys):
    mapping = f"train.start_from={{rpn_head: {best(runs / 'a')}, roi_head: {best(runs / 'b')}}}"
    overrides = ("--dry-run", "--set", mapping, "model.roi_head.hidden=[16, 16]")
    message = tiny.refused(capsys, "train", runs / "configs/tiny.yaml", *overrides)
    tiny.assert_says(message, "start_from.roi_head", str(runs / "b"), "weights of the roi_head")


def test_the_name_of_a_detector_leads_to_its_conversion(runs, capsys):
    def refused(named):
        words = (runs / "configs/tiny.yaml", "--work-dir", runs / "named")
        return tiny.refused(capsys, "train", *words, "--set", f"train.start_from={named}")

    message = refused("fasterrcnn_resnet50_fpn")
    command = "detkit convert-weights torchvision fasterrcnn_resnet50_fpn --out "
    tiny.assert_says(message, "train.start_from", command, "fpn/checkpoints/step-00000000")
    tiny.assert_says(refused("faster_rcnn_R_50_FPN_3x"), "detkit convert-weights FRAMEWORK")
    assert "convert-weights" not in refused("work_dirs/absent/checkpoints/best")
