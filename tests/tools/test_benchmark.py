"""tools/benchmark.py: the workers' protocol, what they find, the figures; with sides made up."""

import json
import sys

import numpy as np
import pytest
from mxnet.gluon import nn

from support import tiny
from support.environment import SHARED

BENCHMARK = tiny.ROOT / "tools/benchmark"
NAME = "fasterrcnn_resnet50_fpn"


@pytest.fixture
def modules(monkeypatch):
    """What the tool consists of can be imported."""
    monkeypatch.syspath_prepend(str(BENCHMARK))


@pytest.fixture
def spec_of(modules):
    """A function that makes the plan of a made-up side."""
    from plan import Spec

    script = tiny.ROOT / "tests/support/fake_side.py"

    def make(name, form="0", precision="fp32", compared=True, python=None):
        job = {"form": form, "precision": precision, "clock": "wall"}
        return Spec(name, script, python, job, compared)

    return make


@pytest.fixture
def session_of(modules, tmp_path):
    """A function that makes a Session of some plans."""
    from session import Session

    return lambda *specs: Session(specs, threads=1, folder=tmp_path)


def error_of(call, *arguments):
    from processes import BenchmarkError

    with pytest.raises(BenchmarkError) as caught:
        call(*arguments)
    return str(caught.value)


# --- workers --------------------------------------------------------------------------------------


def test_sides_are_run_in_turn(spec_of, session_of):
    with session_of(spec_of("one"), spec_of("two", precision="bf16")) as session:
        assert session.about == {"one": {"fake": "1.0"}, "two": {"fake": "1.0"}}
        session.use((32, 48), 2)
        taken = session.times(3)
        assert set(taken) == {"one", "two"}
        for side in taken.values():
            assert {clock: len(times) for clock, times in side.items()} == {"wall": 3, "cpu": 3}
        assert all(peak > 1e6 for peak in session.peaks().values())
        assert session.stages(3)["two"] == {"backbone": 2.0, "total": 3.0}
        assert session.floors() == {"one": {"fp32": 2e9}, "two": {"bf16": 2e9}}


def test_what_fails_in_a_worker_is_shown(spec_of, session_of):
    message = error_of(session_of(spec_of("one"), spec_of("two", "unloaded")).__enter__)
    assert message.startswith("two: load failed:\nTraceback")
    assert message.endswith("ValueError: no such detector")


def test_a_worker_that_dies(spec_of, session_of):
    with session_of(spec_of("one"), spec_of("two", "dying")) as session:
        message = error_of(session.use, (32, 32), 1)
    assert "two: its process ended with exit status 3 when asked to time" in message


def test_an_interpreter_that_is_not_there(spec_of, session_of):
    specs = spec_of("torchvision fp32", python="/absent/python")
    message = error_of(session_of(specs).__enter__)
    assert "/absent/python cannot be started: No such file" in message
    assert "--peer torchvision=PATH" in message


# --- the same detections --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form, precision, compared, share",
    [
        ("0.1", "fp32", True, 1.0),
        ("9", "bf16", True, 0.0),  # low precision is shown, not judged
        ("9", "fp32", False, None),  # other weights
    ],
)
def test_shares(spec_of, session_of, form, precision, compared, share):
    with session_of(spec_of("one"), spec_of("two", form, precision, compared)) as session:
        session.use((32, 32), 1)
        assert session.shares() == {"one": 1.0, "two": share}


def test_sides_that_disagree(spec_of, session_of):
    with session_of(spec_of("one"), spec_of("two", "9")) as session:
        session.use((32, 32), 1)
        message = error_of(session.shares)
        assert "two finds 0% of what one finds, expected 90%" in message
        assert "--no-compare" in message
        assert session.shares(required=False) == {"one": 1.0, "two": 0.0}


def write_found(path, *images):
    names = ("boxes", "scores", "labels")
    arrays = [{f"{n}_{i}": a for n, a in zip(names, image)} for i, image in enumerate(images)]
    np.savez(path, **{name: array for each in arrays for name, array in each.items()})
    return path


def test_a_share_counts_what_either_side_lacks(modules, tmp_path):
    import matched

    boxes = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], "float32")
    scores, labels = np.array([0.9, 0.5]), np.array([1, 2])
    nothing = np.zeros((0, 4)), np.zeros(0), np.zeros(0)
    both = write_found(tmp_path / "both.npz", (boxes, scores, labels), nothing)
    one = write_found(tmp_path / "one.npz", (boxes[:1], scores[:1], labels[:1]), nothing)
    other = write_found(tmp_path / "other.npz", (boxes, scores - 0.1, labels), nothing)
    empty = write_found(tmp_path / "empty.npz", nothing, nothing)
    assert matched.share(both, both) == matched.share(empty, empty) == 1.0
    assert matched.share(both, one) == matched.share(one, both) == 0.5
    assert matched.share(both, other) == matched.share(both, empty) == 0.0


@pytest.mark.skipif(not (SHARED / "parity").is_dir(), reason=f"{SHARED / 'parity'} is not there")
def test_drawn_weights_have_the_names_and_shapes_of_torchvision(modules):
    import detectors

    with np.load(SHARED / "parity/golden_maskrcnn_resnet50_fpn_1.npz") as golden:
        shapes = dict(zip(golden["names"].tolist(), golden["shapes"].tolist()))
    state = detectors.draw_state("maskrcnn_resnet50_fpn")
    expected = {n: s for n, s in shapes.items() if not n.endswith("num_batches_tracked")}
    assert {n: ",".join(map(str, a.shape)) for n, a in state.items()} == expected
    assert all(np.isfinite(array).all() and array.dtype == "float32" for array in state.values())


def test_pictures_depend_on_nothing_but_their_size(modules):
    import drawn

    pictures = drawn.pictures(2, 33, 70)
    assert pictures.shape == (2, 33, 70, 3)
    assert pictures.dtype == np.uint8
    assert (pictures == drawn.pictures(2, 33, 70)).all()
    assert pictures[0].std() > 10
    boxes, labels = drawn.objects(2, 33, 70)
    assert (boxes[..., 2:] > boxes[..., :2]).all()
    assert (boxes <= [70, 33, 70, 33]).all()
    assert labels.shape == boxes.shape[:2]


# --- stages ---------------------------------------------------------------------------------------


def test_the_time_of_parts(modules):
    from stopwatch import time_parts, with_rest

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
def fakes(monkeypatch, spec_of):
    """The tool measures two sides that are made up."""
    import plan
    import processes

    sides = [spec_of("detkit eager"), spec_of("torchvision fp32")]
    monkeypatch.setattr(processes, "run_once", lambda *arguments: None)
    monkeypatch.setattr(plan, "specs", lambda *arguments: sides)


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
    import plan

    monkeypatch.setattr(plan, "SWEEP", (((32, 32), (32, 64)), (1, 2)))
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
    tiny.assert_says(message, "--plot needs Matplotlib", "pip install 'detkit[plot]'")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("absent",), "no model 'absent'; there are fasterrcnn_resnet50_fpn, "),
        (("--size", "600"), "expected height x width, as 600x800, found '600'"),
        (("--peer", "caffe"), "no peer 'caffe'; there are onnxruntime, torchvision, gluoncv"),
        (("--train", "--forms", "eager"), "a form that can be trained, hybridized or static_alloc"),
        (("--no-detect",), "--no-detect without --train leaves nothing to measure"),
    ],
)
def test_wrong_arguments(modules, arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool("benchmark", *arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_which_sides_there_are(modules, tmp_path):
    from plan import specs

    peers = {"torchvision": "/peer/python", "gluoncv": None, "onnxruntime": None}
    found = specs(NAME, tmp_path, ["eager", "exported"], peers)
    names = [spec.name for spec in found]
    assert names == [
        "detkit eager",
        "detkit exported",
        "torchvision fp32",
        "torchvision bf16",
        "gluoncv fp32",
        "onnxruntime fp32",
    ]
    by_name = dict(zip(names, found))
    assert by_name["torchvision bf16"].python == "/peer/python"
    assert by_name["torchvision bf16"].precision == "bf16"
    assert by_name["detkit exported"].job["model"] == str(tmp_path / "exported")
    assert [spec.name for spec in found if not spec.compared] == ["gluoncv fp32"]
    assert all(spec.script.is_file() for spec in found)
    trained = specs("fasterrcnn_vgg16", tmp_path, ["hybridized"], peers, training=True)
    assert {spec.name.split()[0] for spec in trained} == {"detkit", "torchvision"}
    assert all(spec.job["training"] for spec in trained)
