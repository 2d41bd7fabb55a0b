"""A run is resumed on its own branch, and no checkpoint but its own is deleted."""

import json
import shutil

import pytest

from detkit.checkpoints import load_checkpoint
from support import tiny

EVERY = ("train.checkpoint_every={steps: 1}", "train.keep=9")
OTHER = (*EVERY, "train.lr=0.02")


@pytest.fixture(scope="module")
def six(config, tmp_path_factory):
    """The folder of a run with a checkpoint after each of its six steps."""
    folder = tmp_path_factory.mktemp("six")
    assert tiny.train(config, folder, *EVERY) == 0
    return folder


@pytest.fixture
def run(six, tmp_path):
    return shutil.copytree(six, tmp_path / "run", symlinks=True)


def step(run, number):
    return run / f"checkpoints/step-{number:08d}"


def state(checkpoint):
    return json.loads((checkpoint / "state.json").read_text())


def branched(config, run, number=3, until=4):
    """Resumes from an earlier checkpoint with another learning rate, and stops within an epoch."""
    stop = tiny.hook("SignalAt", step=until)
    resumed = {"resume": step(run, number), "force": True}
    assert tiny.train(config, run, *OTHER, stop, **resumed) == 143


def test_auto_goes_on_with_the_newest_branch_and_not_with_the_largest_number(config, run, capsys):
    branched(config, run)
    assert json.loads((run / "checkpoints/last").read_text())["checkpoint"] == "step-00000004"
    capsys.readouterr()
    assert tiny.train(config, run, *OTHER, resume="auto", force=True) == 0
    assert f"resuming from {step(run, 4)}, step 4" in capsys.readouterr().out
    assert "lr: 0.02" in (step(run, 6) / "config.yaml").read_text()


def test_a_branch_knows_its_parent(config, run):
    first = state(step(run, 3))
    assert first["parent"] is None
    branched(config, run)
    second = state(step(run, 4))
    assert second["parent"] == {"run": first["run"], "step": 3}
    assert second["run"] != first["run"]
    assert state(step(run, 3)) == first


def test_a_run_killed_before_its_branch_has_a_checkpoint_goes_on_from_its_parent(
    config, run, capsys
):
    dies = tiny.hook("DieWhileSaving", function="os.rename", call=1)
    arguments = ("--resume", step(run, 3), "--force", "--set", *OTHER, dies)
    assert tiny.spawn("train", config, "--work-dir", run, *arguments).returncode == -9
    assert tiny.train(config, run, *OTHER, resume="auto", force=True) == 0
    assert f"resuming from {step(run, 3)}, step 3" in capsys.readouterr().out


def test_a_run_resumed_in_a_new_folder_and_killed_goes_on_from_there(config, run, tmp_path, capsys):
    dies = tiny.hook("DieWhileSaving", function="os.rename", call=1)
    arguments = ("--resume", step(run, 3), "--force", "--set", *EVERY, dies)
    work = tmp_path / "new"
    assert tiny.spawn("train", config, "--work-dir", work, *arguments).returncode == -9
    assert tiny.train(config, work, *EVERY, resume="auto", force=True) == 0
    assert f"resuming from {step(run, 3)}, step 3" in capsys.readouterr().out
    tiny.assert_same_checkpoint(step(run, 6), step(work, 6))


def test_checkpoints_of_another_branch_are_neither_deleted_nor_written_over(config, run, capsys):
    abandoned = {number: state(step(run, number)) for number in range(1, 7)}
    branched(config, run, until=5)
    keep = (*OTHER, "train.keep=1")
    assert tiny.train(config, run, *keep, resume="auto", force=True) == 0
    said = capsys.readouterr().out
    for number in (1, 2, 3):
        assert state(step(run, number)) == abandoned[number]
    renamed = f"-of-{abandoned[4]['run'][:8]}"
    for number in (4, 5, 6):
        aside = step(run, number).with_name(step(run, number).name + renamed)
        assert state(aside) == abandoned[number]
        assert str(aside) in said
        assert load_checkpoint(str(aside)).progress.step == number
    tiny.assert_says(said, "step-00000001, step-00000002, step-00000003", "kept", "another branch")
    own = [name for name in tiny.checkpoints(run) if name[-1] in "456" and len(name) == 13]
    assert own[-1] == "step-00000006"
    assert state(step(run, 6))["run"] != abandoned[6]["run"]


def test_a_users_copies_are_neither_deleted_nor_resumed_from(config, run, tmp_path, capsys):
    folder = run / "checkpoints"
    copies = ["step-00000003-good", "step-zz", "step-00000099.bak", "step-"]
    for name in copies:
        shutil.copytree(step(run, 3), folder / name)
    (folder / "step-00000000").symlink_to(step(run, 3))
    assert tiny.train(config, run, "train.epochs=3", "train.keep=1", resume="auto") == 0
    assert f"resuming from {step(run, 6)}, step 6" in capsys.readouterr().out
    kept = set(tiny.checkpoints(run))
    assert {*copies, "step-00000000", "step-00000009", "best"} <= kept
    assert "step-00000004" not in kept  # the run's own


def test_a_named_last_checkpoint_is_no_new_branch(config, run):
    assert tiny.train(config, run, *EVERY, "train.epochs=3", resume=step(run, 6)) == 0
    assert state(step(run, 9))["run"] == state(step(run, 6))["run"]


@pytest.mark.parametrize("content", [None, "", "{}", "[" * 90000, '{"checkpoint": 3, "step": 1}'])
def test_a_pointer_that_is_damaged_or_missing(config, run, capsys, content):
    last = run / "checkpoints/last"
    last.unlink() if content is None else last.write_text(content)
    assert tiny.train(config, run, *EVERY, resume="auto") == 0
    said = capsys.readouterr()
    assert f"resuming from {step(run, 6)}, step 6" in said.out
    assert ("checkpoints/last: " in said.err) == (content is not None)


def test_without_a_pointer_two_branches_are_not_guessed_between(refused, project):
    run = project / "work"
    shutil.copytree(step(run, 3), step(run, 7))
    other = state(step(run, 7))
    assert len(other["run"]) == 32
    tiny.rewrite_state(step(run, 7), {**other, "run": "0123456789abcdef"})
    (run / "checkpoints/last").unlink()
    message = refused("train", "configs/tiny.yaml", "--work-dir", "work", "--resume", "auto")
    tiny.assert_says(message, "2 branches", "step-00000003", "step-00000007", "--resume PATH")
