"""Damaged and hostile checkpoints: passed over with a warning, refused, and never obeyed."""

import json
import shutil

import mxnet as mx
import pytest

from detkit.checkpoints import load_checkpoint
from detkit.errors import CheckpointError
from support import tiny
from support.checkpoints import save, trained

NUMPY, PYTHON = "numpy", "python"


@pytest.fixture
def run(reference, tmp_path):
    return shutil.copytree(reference, tmp_path / "run", symlinks=True)


def damage(checkpoint, kind):
    weights = checkpoint / "weights.params"
    if kind == "truncated":
        weights.write_bytes(weights.read_bytes()[:-9])
    elif kind == "flipped":
        data = bytearray(weights.read_bytes())
        data[len(data) // 2] ^= 4
        weights.write_bytes(data)
    elif kind == "no state":
        (checkpoint / "state.json").write_text("{}")
    elif kind == "no sums":
        (checkpoint / "SHA256SUMS").unlink()
    elif kind == "gone":
        shutil.rmtree(checkpoint)


@pytest.mark.parametrize("kind", ["truncated", "flipped", "no state", "no sums", "gone"])
def test_the_one_before_is_used_and_said(config, reference, run, capsys, kind):
    newest = run / "checkpoints/step-00000006"
    damage(newest, kind)
    assert tiny.train(config, run, resume="auto") == 0
    said = capsys.readouterr()
    tiny.assert_says(said.err, "warning: ", "step-00000006")
    assert "step-00000003, step 3" in said.out
    tiny.assert_same_checkpoint(reference / "checkpoints/step-00000006", newest)


@pytest.mark.parametrize("kind", ["flipped", "no sums"])
def test_if_all_are_damaged_nothing_begins_from_scratch(config, run, capsys, kind):
    for number in (3, 6):
        damage(run / f"checkpoints/step-{number:08d}", kind)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    arguments = (config, "--work-dir", run, "--resume", "auto")
    message = tiny.refused(capsys, "train", *arguments)
    tiny.assert_says(message, f"{run}/checkpoints: ", "all 2", "damaged", "--resume PATH")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    message = tiny.refused(capsys, "train", config, "--work-dir", run)  # and no new run either
    tiny.assert_says(message, "2 checkpoints")


@pytest.mark.parametrize("kind", ["file", "link", "users"])
def test_odd_things_with_a_temporary_name(config, run, kind):
    folder, precious = run / "checkpoints", run / "precious"
    precious.mkdir()
    (precious / "file").touch()
    left = folder / (".partial-x" if kind == "users" else ".partial-step-00000009")
    left.symlink_to(precious) if kind == "link" else left.touch()
    assert tiny.train(config, run, "train.epochs=3", resume="auto") == 0
    assert "step-00000009" in tiny.checkpoints(run)
    assert (precious / "file").exists()
    assert left.exists() == (kind == "users")


# --- files that fit their sums --------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    save(folder / "a", trained())
    return folder / "a"


@pytest.fixture
def checkpoint(good, tmp_path):
    return shutil.copytree(good, tmp_path / "a")


def in_random(generator, index, value):
    def change(state):
        state["random"][generator][index] = value

    return change


def setting(key, value):
    return lambda state: state.update({key: value})


HOSTILE = {
    "a position that numpy would read beyond its memory at": in_random(NUMPY, 2, 10**6),
    "a negative position": in_random(NUMPY, 2, -5),
    "another generator": in_random(NUMPY, 0, "PCG64"),
    "too few words": in_random(NUMPY, 1, [1, 2]),
    "a word that is too large": in_random(NUMPY, 1, [2**40] * 624),
    "a gauss of text": in_random(NUMPY, 4, "x"),
    "another version": in_random(PYTHON, 0, 9),
    "no words": in_random(PYTHON, 1, []),
    "a large index": in_random(PYTHON, 1, [0] * 624 + [625]),
    "no generators": setting("random", None),
    "an empty generator": setting("random", {NUMPY: [], PYTHON: []}),
    "a progress of text": setting("progress", {"step": "x", "epoch": 0, "batch": 0}),
    "a negative step": setting("progress", {"step": -1, "epoch": 0, "batch": 0}),
    "an enormous step": setting("progress", {"step": 10**300, "epoch": 0, "batch": 0}),
    "a progress of other keys": setting("progress", {"steps": 1}),
    "names that are numbers": setting("class_names", [1, 2]),
    "names that are text": setting("class_names", "cat"),
    "metrics of text": setting("metrics", {"AP50": "high"}),
    "metrics that are a list": setting("metrics", [1]),
    "a best of text": setting("best", "x"),
    "classes of text": setting("by_class", {"rule": "COCO", "classes": "x"}),
    "a negative number of evaluations": setting("stale", -1),
    "a run that is a path": setting("run", "../../x"),
    "a parent of text": setting("parent", "x"),
    "a format of text": setting("format", "x"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_state_is_refused(checkpoint, change):
    state = json.loads((checkpoint / "state.json").read_text())
    change(state)
    tiny.rewrite_state(checkpoint, state)
    with pytest.raises(CheckpointError, match="a/state.json: "):
        load_checkpoint(str(checkpoint), restore_random=True)


@pytest.mark.parametrize("text", ["[" * 10**5, "1" * 10**6, "[]", "{", '{"a": 1e999}', "\x00"])
def test_a_state_that_is_none(checkpoint, text):
    tiny.rewrite(checkpoint, "state.json", text.encode())
    with pytest.raises(CheckpointError, match="a/state.json: "):
        load_checkpoint(str(checkpoint))


@pytest.mark.parametrize("name", ["weights.params", "optimizer.params"])
@pytest.mark.parametrize("place", [16, 24, 32, 40, 44, 48])
def test_arrays_with_hostile_numbers_are_not_passed_on_to_mxnet(checkpoint, name, place):
    """MXNet's own reader takes counts and shapes on trust: it asks for all memory, or crashes."""
    data = bytearray((checkpoint / name).read_bytes())
    data[place : place + 4] = b"\xff\xff\xff\x7f"
    tiny.rewrite(checkpoint, name, bytes(data))
    with pytest.raises(CheckpointError, match=f"a/{name}: "):
        load_checkpoint(str(checkpoint))


def test_an_optimizers_state_of_another_shape_is_refused(config, run, capsys):
    newest = run / "checkpoints/step-00000006"
    arrays = mx.nd.load(str(newest / "optimizer.params"))
    name = sorted(arrays)[0]
    arrays[name] = mx.nd.zeros((1, 2, 3))
    mx.nd.save(str(newest / "optimizer.params"), arrays)
    tiny.rewrite(newest, "optimizer.params", (newest / "optimizer.params").read_bytes())
    arguments = (config, "--work-dir", run, "--resume", newest, "--set", "train.epochs=3")
    message = tiny.refused(capsys, "train", *arguments)
    tiny.assert_says(message, "step-00000006: ", name, "(1, 2, 3)")
