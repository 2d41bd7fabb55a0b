"""Alternating training: its stages by hand, its interruptions, and what a resumed run refuses."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

import detkit
from detkit.build import stage_proposals
from detkit.checkpoints import load_checkpoint
from detkit.detector import Detector
from detkit.errors import DetkitError
from detkit.files.lock import locked
from support import tiny
from support.projects import FAST_RCNN, RPN

STAGES = ("1-rpn", "2-fast-rcnn", "3-rpn", "4-fast-rcnn")
ALTERNATING = ("regime=alternating", "train.epochs=1", "train.checkpoint_every={steps: 2}")
JOINED = "checkpoints/step-00000012"


@pytest.fixture(scope="module")
def alternated(config, tmp_path_factory):
    """The folder of an undisturbed run of four stages of an epoch each."""
    folder = tmp_path_factory.mktemp("alternated")
    assert tiny.train(config, folder, *ALTERNATING) == 0
    return folder


def last_of(work, stage, step=3):
    return work / f"stages/{stage}/checkpoints/step-{step:08d}"


def arrays(checkpoint, part=""):
    weights = load_checkpoint(str(checkpoint)).weights
    return {name: a.asnumpy() for name, a in weights.items() if name.startswith(part)}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert one
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], name)


def assert_same_run(work, reference):
    """Every stage and the joined detector agree bit for bit."""
    for stage in STAGES:
        tiny.assert_same_checkpoint(last_of(work, stage), last_of(reference, stage))
    assert_same(arrays(work / JOINED), arrays(reference / JOINED))
    found, expected = (load_checkpoint(str(run / JOINED)) for run in (work, reference))
    assert (found.metrics, found.best) == (expected.metrics, expected.best)
    assert found.progress == expected.progress
    assert (work / "result.json").read_text() == (reference / "result.json").read_text()
    assert tiny.best(work).name == "step-00000012"


def test_the_joined_detector_has_the_parts_of_the_last_stages(alternated):
    for part, stage in (("backbone", 4), ("roi_head", 4), ("rpn_head", 3)):
        expected = arrays(last_of(alternated, STAGES[stage - 1]), part)
        assert_same(arrays(alternated / JOINED, part), expected)
    text = (alternated / "config.yaml").read_text()
    assert (tiny.best(alternated) / "config.yaml").read_text() == text
    (record,) = tiny.records(alternated, "evaluate")
    assert (record["step"], record["epoch"]) == (12, 4)
    image = np.full((64, 64, 3), 90, np.uint8)
    expected = detkit.load(alternated / "config.yaml", alternated / JOINED).detect(image)
    assert len(expected) > 0 and detkit.load(alternated).detect(image) == expected


def test_the_convolutions_stay_bit_equal_after_the_second_stage(alternated):
    second, third, fourth = (arrays(last_of(alternated, s), "backbone") for s in STAGES[1:])
    assert any("running_var" in name for name in second)
    assert_same(third, second)
    assert_same(fourth, second)
    # The two networks on their own convolutions have others.
    first = arrays(last_of(alternated, STAGES[0]), "backbone")
    assert any(not np.array_equal(first[name], second[name]) for name in first)


def test_the_log_tells_the_stages_and_the_recall_between_them(alternated):
    stages = [(r["name"], r["state"]) for r in tiny.records(alternated, "stage")]
    assert stages == [(name, state) for name in STAGES for state in ("begins", "ends")]
    recalls = tiny.records(alternated, "proposals")
    assert [r["split"] for r in recalls] == ["train", "val", "train", "val"]
    assert all(0 < r["AR100"] < 1 and r["boxes"] > 0 for r in recalls)
    assert all("stages/1-rpn/proposals" in r["file"] for r in recalls[:2])


def by_hand(config, work):
    """The four trainings one by one, with tools/test.py between them."""
    runs = [work / name for name in STAGES]
    for number, run in enumerate(runs):
        chosen = list(RPN if number % 2 == 0 else FAST_RCNN)
        if number % 2:
            chosen.append("train_step.roi_targets.sampler.positive_share=0.25")
            for split in ("train", "val"):
                file, source = work / f"{split}{number}.npz", last(runs[number - 1])
                written = ("--split", split, "--out", file, "--set", *RPN)
                assert tiny.tool("test", config, source, *written) == 0
                chosen.append(f"data.{split}_proposals={{path: {file}}}")
        if number >= 2:
            head = f", roi_head: {last(runs[1])}" if number == 3 else ""
            chosen.append(f"train.start_from={{backbone: {last(runs[number - 1])}{head}}}")
            chosen.append("train.freeze=[backbone]")
        assert tiny.train(config, run, *ALTERNATING[1:], *chosen) == 0
    return runs


def last(run):
    return run / "checkpoints/step-00000003"


def test_the_stages_are_four_trainings_by_hand(config, alternated, tmp_path):
    for stage, run in zip(STAGES, by_hand(config, tmp_path)):
        assert_same(arrays(last_of(alternated, stage)), arrays(last(run)))


def test_the_tools_take_the_work_folder_as_any_other(config, alternated, tmp_path, capsys):
    work = shutil.copytree(alternated, tmp_path / "work", symlinks=True)
    best = work / "checkpoints/best"
    assert tiny.tool("test", config, best) == 0
    assert "AP50" in capsys.readouterr().out
    assert tiny.tool("test", work / "config.yaml", best, "--split", "train") == 0
    assert detkit.load(work / "config.yaml", str(best)).name == "a FasterRCNN"
    assert tiny.tool("export", config, best, "--out", tmp_path / "exported") == 0


# --- Interruptions --------------------------------------------------------------------------------


def stopping(stage, step):
    """An override that stops a stage by SIGTERM after a step."""
    return f"stages={{{stage}: {{train: {{hooks: [{{type: SignalAt, step: {step}}}]}}}}}}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_was_stopped_in_a_stage_goes_on(config, alternated, tmp_path, stage):
    assert tiny.train(config, tmp_path, *ALTERNATING, stopping(stage, 2)) == 143
    assert tiny.train(config, tmp_path, *ALTERNATING, resume="auto", force=True) == 0
    assert_same_run(tmp_path, alternated)


def test_a_run_that_was_killed_while_a_stage_was_saved_goes_on(config, alternated, tmp_path):
    dying = "{type: DieWhileSaving, function: os.rename, call: 2}"
    hook = f"stages={{3-rpn: {{train: {{hooks: [{dying}]}}}}}}"
    killed = tiny.spawn("train", config, "--work-dir", tmp_path, "--set", *ALTERNATING, hook)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "stages/4-fast-rcnn").exists()
    assert tiny.train(config, tmp_path, *ALTERNATING, resume="auto", force=True) == 0
    assert_same_run(tmp_path, alternated)


@pytest.mark.parametrize("call", [1, 2, 3], ids=["train", "val", "train of stage 3"])
def test_a_run_that_was_stopped_while_it_wrote_proposals_and_moved_goes_on(
    config, alternated, tmp_path, monkeypatch, call
):
    genuine, calls, work = stage_proposals.detect_dataset, [], tmp_path / "here"

    def stopped(*arguments):
        calls.append(1)
        with pytest.raises(DetkitError, match="locked"), locked(work):
            pass  # the lock holds between two stages, too
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return genuine(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(stage_proposals, "detect_dataset", stopped)
        assert tiny.train(config, work, *ALTERNATING) == 143
    written = list(work.glob("stages/*/proposals/*.npz"))
    assert len(written) == call - 1
    moved = work.rename(tmp_path / "there")
    assert tiny.train(config, moved, *ALTERNATING, resume="auto") == 0
    assert_same_run(moved, alternated)


def test_a_run_that_was_stopped_in_the_join_goes_on(config, alternated, tmp_path, monkeypatch):
    genuine = Detector.detect_batch

    def stopped(detector, batch):
        if detector.name == "a FasterRCNN":
            os.kill(os.getpid(), signal.SIGTERM)
        return genuine(detector, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Detector, "detect_batch", stopped)
        assert tiny.train(config, tmp_path, *ALTERNATING, "data.val.length=8") == 143
    assert not (tmp_path / "checkpoints/best").exists()
    shutil.rmtree(tmp_path / "checkpoints")
    assert tiny.train(config, tmp_path, *ALTERNATING, "data.val.length=8", resume="auto") == 0
    assert_same(arrays(tmp_path / JOINED), arrays(alternated / JOINED))


def test_a_finished_run_has_nothing_to_do(config, alternated, tmp_path, monkeypatch):
    work = shutil.copytree(alternated, tmp_path / "work", symlinks=True)
    before = (last_of(work, "1-rpn") / "weights.params").stat().st_mtime_ns
    monkeypatch.setattr(stage_proposals, "detect_dataset", None)
    assert tiny.train(config, work, *ALTERNATING, resume="auto", force=True) == 0
    assert (last_of(work, "1-rpn") / "weights.params").stat().st_mtime_ns == before
    assert (work / "result.json").read_text() == (alternated / "result.json").read_text()


# --- What a resumed run refuses -------------------------------------------------------------------


@pytest.fixture
def work(alternated, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(alternated, tmp_path / "work", symlinks=True)


def refusal(capsys, config, work, *overrides, resume="auto", force=False):
    capsys.readouterr()
    assert tiny.train(config, work, *overrides, resume=resume, force=force) == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


def test_a_new_run_does_not_begin_in_the_folder_of_another(config, work, capsys):
    message = refusal(capsys, config, work, *ALTERNATING, resume=None)
    tiny.assert_says(message, str(work), "1-rpn, 2-fast-rcnn", "--resume auto", "--work-dir DIR")


def test_a_checkpoint_cannot_be_named(config, work, capsys):
    message = refusal(capsys, config, work, *ALTERNATING, resume=last_of(work, "3-rpn"))
    tiny.assert_says(message, "--resume", "3-rpn", "expected auto")


def test_a_run_without_stages_is_not_gone_on_with(config, reference, tmp_path, capsys):
    work = shutil.copytree(reference, tmp_path / "work", symlinks=True)
    message = refusal(capsys, config, work, *ALTERNATING)
    tiny.assert_says(message, str(work), "without these stages")
    assert not (work / "stages").exists()


def test_a_changed_stage_is_refused_with_its_folder(config, work, capsys):
    message = refusal(capsys, config, work, *ALTERNATING, "stages.2-fast-rcnn.train.lr=0.5")
    tiny.assert_says(message, "stages/2-fast-rcnn", "train.lr", "0.5", "--force")


@pytest.mark.parametrize(
    ("stage", "force"), [("1-rpn", False), ("1-rpn", True), ("4-fast-rcnn", True)]
)
def test_a_stage_that_others_or_the_join_began_from_is_not_lengthened(
    config, work, capsys, stage, force
):
    longer = f"stages.{stage}.train.epochs=2"
    message = refusal(capsys, config, work, *ALTERNATING, longer, force=force)
    tiny.assert_says(message, f"stages/{stage}", "train.epochs", "later stages began", "joined")
    assert not last_of(work, stage, step=6).exists()


def test_the_last_stage_is_lengthened_before_the_join(config, work):
    shutil.rmtree(work / "checkpoints")
    longer = "stages.4-fast-rcnn.train.epochs=2"
    assert tiny.train(config, work, *ALTERNATING, longer, resume="auto", force=True) == 0
    joined = work / "checkpoints/step-00000015"
    assert_same(arrays(joined, "roi_head"), arrays(last_of(work, STAGES[3], step=6), "roi_head"))


def test_the_detector_of_other_stages_is_not_trained(config, work, capsys):
    """The last stage of a run of train.time may end elsewhere if it is repeated."""
    state = json.loads((work / JOINED / "state.json").read_text())
    state["progress"]["epoch"] -= 1
    tiny.rewrite_state(work / JOINED, state)
    message = refusal(capsys, config, work, *ALTERNATING, force=True)
    tiny.assert_says(message, str(work), "12 steps", "move its checkpoints away")


def test_a_stage_that_began_from_something_else_is_refused(config, work, capsys):
    begun = work / "stages/4-fast-rcnn/config.yaml"
    text = begun.read_text().replace("stages/3-rpn/checkpoints/step-00000003", "elsewhere/step-9")
    begun.write_text(text)
    message = refusal(capsys, config, work, *ALTERNATING, force=True)
    tiny.assert_says(message, "stages/4-fast-rcnn", "start_from.backbone", "step-9 before")


@pytest.mark.parametrize("file", ["weights.params", "config.yaml"])
def test_the_end_of_a_stage_that_was_damaged_is_trained_again(
    config, alternated, work, capsys, file
):
    (last_of(work, "2-fast-rcnn") / file).write_bytes(b"")
    assert tiny.train(config, work, *ALTERNATING, resume="auto", force=True) == 0
    tiny.assert_says(capsys.readouterr().err, "warning: ", "2-fast-rcnn", "sha256")
    assert_same_run(work, alternated)


def test_a_folder_that_was_moved_before_the_join_goes_on(config, alternated, work):
    shutil.rmtree(work / "checkpoints")
    assert tiny.train(config, work, *ALTERNATING, resume="auto") == 0
    assert_same_run(work, alternated)
