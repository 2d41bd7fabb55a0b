"""tools/benchmark.py: the workers' protocol, what they find, the figures; with made-up sides."""

import json
import sys

import numpy as np
import pytest
from mxnet.gluon import nn

from benchmark.detectors import detkit_detectors, random_data, sides, worker_process
from benchmark.detectors.agreement import shared_detections
from benchmark.detectors.running_sides import RunningSides
from benchmark.detectors.stage_times import time_parts, with_rest
from benchmark.errors import BenchmarkError
from support import tiny
from support.environment import SHARED

FAKE = tiny.ROOT / "tests/support/fake_side.py"
NAME = "fasterrcnn_resnet50_fpn"


def side_of(name, form="0", precision="fp32", compared=True, python=None):
    """A made-up side."""
    job = {"form": form, "precision": precision, "clock": "wall"}
    return sides.Side(name, FAKE, python, job, compared)


@pytest.fixture
def running(tmp_path):
    """A function that makes the RunningSides of some sides."""
    return lambda *measured: RunningSides(measured, threads=1, folder=tmp_path)


def error_of(call, *arguments):
    with pytest.raises(BenchmarkError) as caught:
        call(*arguments)
    return str(caught.value)


# --- workers --------------------------------------------------------------------------------------


def test_sides_are_run_in_turn(running):
    with running(side_of("one"), side_of("two", precision="bf16")) as measured:
        assert measured.about == {"one": {"fake": "1.0"}, "two": {"fake": "1.0"}}
        measured.use((32, 48), 2)
        taken = measured.times(3)
        assert set(taken) == {"one", "two"}
        for side in taken.values():
            assert {clock: len(times) for clock, times in side.items()} == {"wall": 3, "cpu": 3}
        assert all(peak > 1e6 for peak in measured.peaks().values())
        assert measured.stages(3)["two"] == {"backbone": 2.0, "total": 3.0}
        assert measured.floors() == {"one": {"fp32": 2e9}, "two": {"bf16": 2e9}}


def test_what_fails_in_a_worker_is_shown(running):
    message = error_of(running(side_of("one"), side_of("two", "unloaded")).__enter__)
    assert message.startswith("two: load failed:\nTraceback")
    assert message.endswith("ValueError: no such detector")


def test_a_worker_that_dies(running):
    with running(side_of("one"), side_of("two", "dying")) as measured:
        message = error_of(measured.use, (32, 32), 1)
    tiny.assert_says(message, "two", "exit status 3", "time")


@pytest.mark.parametrize("peer", [p for p in sides.PEERS if p != "torchvision_compiled"])
def test_the_interpreter_of_a_peer_needs_no_detkit(needs_no_detkit, peer):
    needs_no_detkit(peer, f"benchmark.detectors.worker_{peer}")


def test_an_interpreter_that_is_not_there(running):
    absent = side_of("torchvision fp32", python="/absent/python")
    message = error_of(running(absent).__enter__)
    assert all(
        part in message for part in ("/absent/python", "No such file", "--peer torchvision=")
    )


# --- the same detections --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form, precision, compared, share",
    [
        ("0.1", "fp32", True, 1.0),
        ("9", "bf16", True, 0.0),  # low precision is shown, not judged
        ("9", "fp32", False, None),  # other weights
    ],
)
def test_shares(running, form, precision, compared, share):
    with running(side_of("one"), side_of("two", form, precision, compared)) as measured:
        measured.use((32, 32), 1)
        assert measured.agreements() == {"one": 1.0, "two": share}


def test_sides_that_disagree(running):
    with running(side_of("one"), side_of("two", "9")) as measured:
        measured.use((32, 32), 1)
        message = error_of(measured.agreements)
        tiny.assert_says(message, "two", "one", "90%", "found 0%", "--no-compare")
        assert measured.agreements(required=False) == {"one": 1.0, "two": 0.0}


def write_found(path, *images):
    names = ("boxes", "scores", "labels", "keypoints")
    arrays = [{f"{n}_{i}": a for n, a in zip(names, image)} for i, image in enumerate(images)]
    np.savez(path, **{name: array for each in arrays for name, array in each.items()})
    return path


def test_a_share_counts_what_either_side_lacks(tmp_path):
    boxes = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], "float32")
    scores, labels = np.array([0.9, 0.5]), np.array([1, 2])
    nothing = np.zeros((0, 4)), np.zeros(0), np.zeros(0)
    both = write_found(tmp_path / "both.npz", (boxes, scores, labels), nothing)
    one = write_found(tmp_path / "one.npz", (boxes[:1], scores[:1], labels[:1]), nothing)
    other = write_found(tmp_path / "other.npz", (boxes, scores - 0.1, labels), nothing)
    empty = write_found(tmp_path / "empty.npz", nothing, nothing)
    assert shared_detections(both, both) == shared_detections(empty, empty) == 1.0
    assert shared_detections(both, one) == shared_detections(one, both) == 0.5
    assert shared_detections(both, other) == shared_detections(both, empty) == 0.0


def test_keypoints_are_compared_if_both_have_them(tmp_path):
    boxes, scores, labels = np.float32([[0, 0, 10, 10], [20, 20, 40, 40]]), np.ones(2), np.ones(2)
    points = np.random.default_rng(0).uniform(0, 40, (2, 17, 3))
    near, far = points.copy(), points.copy()
    near[:, 3, 0] += 9  # one of 17
    near[:, 4:, :2] += 0.4
    far[0, :3, 1] += 0.6
    first = write_found(tmp_path / "first.npz", (boxes, scores, labels, points))
    for name, keypoints, share in (("near", near, 1.0), ("far", far, 0.5)):
        other = write_found(tmp_path / f"{name}.npz", (boxes, scores, labels, keypoints))
        assert shared_detections(first, other) == share
    without = write_found(tmp_path / "without.npz", (boxes, scores, labels))
    assert shared_detections(first, without) == shared_detections(without, first) == 1.0


@pytest.mark.skipif(not (SHARED / "parity").is_dir(), reason=f"{SHARED / 'parity'} is not there")
def test_drawn_weights_have_the_names_and_shapes_of_torchvision():
    with np.load(SHARED / "parity/golden_maskrcnn_resnet50_fpn_1.npz") as golden:
        shapes = dict(zip(golden["names"].tolist(), golden["shapes"].tolist()))
    state = detkit_detectors.random_state("maskrcnn_resnet50_fpn")
    expected = {n: s for n, s in shapes.items() if not n.endswith("num_batches_tracked")}
    assert {n: ",".join(map(str, a.shape)) for n, a in state.items()} == expected
    assert all(np.isfinite(array).all() and array.dtype == "float32" for array in state.values())


def test_pictures_depend_on_nothing_but_their_size():
    pictures = random_data.pictures(2, 33, 70)
    assert pictures.shape == (2, 33, 70, 3)
    assert pictures.dtype == np.uint8
    assert (pictures == random_data.pictures(2, 33, 70)).all()
    assert pictures[0].std() > 10
    boxes, labels = random_data.objects(2, 33, 70)
    assert (boxes[..., 2:] > boxes[..., :2]).all()
    assert (boxes <= [70, 33, 70, 33]).all()
    assert labels.shape == boxes.shape[:2]


# --- stages ---------------------------------------------------------------------------------------


def test_the_time_of_parts():
    network = nn.Sequential()
    network.add(*(nn.Lambda(lambda x: x + 1) for _ in range(3)))
    parts = {"first": [network[0]], "others": [network[1], network[2]]}
    ticks = iter(range(100))
    taken = time_parts(parts, lambda: network(1), ticks.__next__)
    assert taken == {"first": 1, "others": 2, "total": 7}
    assert with_rest(taken) == {"first": 1, "others": 2, "rest": 4, "total": 7}
    network(1)
    assert next(ticks) == 8  # the hooks are gone


# --- the tool -------------------------------------------------------------------------------------


@pytest.fixture
def fakes(monkeypatch):
    """The tool measures two sides that are made up."""
    measured = [side_of("detkit eager"), side_of("torchvision fp32")]
    monkeypatch.setattr(worker_process, "write_file", lambda *arguments: None)
    monkeypatch.setattr(sides, "sides_of", lambda *arguments: measured)


def test_table_and_files(fakes, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out, picture = tmp_path / "out.json", tmp_path / "out.png"
    options = ("--rounds", 2, "--size", "32x48", "--threads", 1, "--stages", "--floor")
    assert tiny.tool("benchmark", NAME, *options, "--json", out, "--plot", picture) == 0
    lines = capsys.readouterr().out.splitlines()
    lines = lines[lines.index("") :]
    assert lines[1] == f"{NAME}, detecting, 32x48, batch 1, 1 threads, wall time"
    assert lines[4].split() == ["median", "s", "fastest", "/", "our", "fp32", "peak", "MB", "same"]
    assert [line.split()[:2] for line in lines[5:7]] == [
        ["detkit", "eager"],
        ["torchvision", "fp32"],
    ]
    assert lines[5].split()[4] == "1.00"
    assert lines[5].endswith("100%")
    assert "backbone                          1500.0                  1500.0" in lines
    assert lines[-1].split() == ["torchvision", "fp32", "fp32", "2.0"]

    (figures,) = json.loads(out.read_text())
    assert (figures["model"], figures["size"], figures["batch"]) == (NAME, [32, 48], 1)
    side = figures["sides"]["torchvision fp32"]
    assert side["matched"] == 1.0
    assert side["median"] == pytest.approx(np.median(side["wall"]))
    assert len(side["cpu"]) == 2
    assert side["about"] == {"fake": "1.0"}
    assert figures["floor"] == {"detkit eager": {"fp32": 2e9}, "torchvision fp32": {"fp32": 2e9}}
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_sweep(fakes, monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(sides, "SWEEP", (((32, 32), (32, 64)), (1, 2)))
    out, picture = tmp_path / "out.json", tmp_path / "out.png"
    options = ("--rounds", 1, "--size", "32x32", "--sweep", "--json", out, "--plot", picture)
    assert tiny.tool("benchmark", NAME, *options) == 0
    measured = [(each["size"], each["batch"]) for each in json.loads(out.read_text())]
    assert measured == [([32, 32], 1), ([32, 64], 1), ([32, 32], 2)]
    assert picture.stat().st_size > 1000


def test_several_sizes_and_training(fakes, tmp_path, capsys):
    out = tmp_path / "out.json"
    options = ("--rounds", 1, "--size", "32x32", "32x64", "--train", "--json", out)
    assert tiny.tool("benchmark", NAME, *options) == 0
    measured = [(each["size"], each["training"]) for each in json.loads(out.read_text())]
    assert measured == [([32, 32], False), ([32, 64], False), ([32, 32], True)]
    assert f"{NAME}, a training step, 32x32, batch 1" in capsys.readouterr().out
    assert tiny.tool("benchmark", NAME, "maskrcnn_resnet50_fpn", *options, "--no-detect") == 0
    measured = [(each["model"], each["training"]) for each in json.loads(out.read_text())]
    assert measured == [(NAME, True)]


def test_a_plot_needs_matplotlib(fakes, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = tiny.refused(capsys, "benchmark", NAME, "--plot", "out.png")
    tiny.assert_says(message, "--plot needs Matplotlib", "pip install 'detkit-gluon[plot]'")


@pytest.mark.parametrize(
    "arguments, fragments",
    [
        (("absent",), ("'absent'", "fasterrcnn_resnet50_fpn, ")),
        (("--size", "600"), ("--size", "600x800", "found '600'")),
        (("--peer", "caffe"), ("--peer", "onnxruntime, torchvision, gluoncv", "found 'caffe'")),
        (("--train", "--forms", "eager"), ("--train", "hybridized or static_alloc", "--forms")),
        (("--no-detect",), ("--no-detect", "--train")),
    ],
)
def test_wrong_arguments(arguments, fragments, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool("benchmark", *arguments)
    assert caught.value.code == 2
    tiny.assert_says(capsys.readouterr().err.split("error: ")[1], *fragments)


@pytest.mark.usefixtures("no_limit")  # which may leave peers out
def test_which_peers_run_the_onnx_model(fakes, monkeypatch):
    made = []
    monkeypatch.setattr(worker_process, "write_file", lambda kind, *_: made.append(kind))
    options = ("--rounds", 1, "--size", "32x32", "--forms", "eager")
    assert tiny.tool("benchmark", NAME, *options, "--peer", "torchvision_compiled") == 0
    assert made == ["state"]
    assert tiny.tool("benchmark", NAME, *options, "--peer", "openvino=/peer/python") == 0
    assert made == ["state", "state", "onnx"]
