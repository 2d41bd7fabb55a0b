"""tools/benchmark_convs.py: the convolutions it measures, its workers on small ones, its files."""

import json

import numpy as np
import pytest

from benchmark.convolutions import networks, report, sides, worker
from benchmark.convolutions.networks import Chain, work_of
from detkit import processor
from support import tiny

FAKE = tiny.ROOT / "tests/support/fake_chain.py"
OPTIONS = ("tiny", "--size", "10x13", "--threads", 1, "--rounds", 2)


@pytest.fixture
def network(monkeypatch, built_library):
    """A network of three small convolutions, under the name "tiny"."""

    def chains(size):
        return [Chain("one", (3, 8, 5), *size), Chain("two", (4, 6), size[0] // 2, size[1] // 2)]

    monkeypatch.setitem(networks.NETWORKS, "tiny", chains)


@pytest.fixture
def peer(monkeypatch):
    """A function that adds a made-up side with a form, which has no backward pass.

    instead: whether it stands in detkit's place, where the sides are compared and not timed.
    """

    def add(form, instead=False):
        genuine = sides.sides_of

        def sides_of(peers, training):
            made_up = [] if training else [sides.Side(form, FAKE, None)]
            return [*genuine(peers, training)[instead:], *made_up]

        monkeypatch.setattr(sides, "sides_of", sides_of)

    return add


# --- the convolutions -----------------------------------------------------------------------------


def test_the_convolutions_of_vgg16():
    chains = networks.vgg16((224, 224))
    assert sum(len(chain.channels) - 1 for chain in chains) == 13
    # VGG16 has 15.47 G multiply-adds, of which 0.12 G are those of its three dense layers.
    assert sum(work_of(chain, 1).direct for chain in chains) == 15346630656
    assert [chain[2:] for chain in networks.vgg16((600, 800))] == [
        (600, 800),
        (300, 400),
        (150, 200),
        (75, 100),
        (37, 50),
    ]


def test_the_convolutions_of_a_detector_with_an_fpn():
    chains = {chain.name: chain for chain in networks.r50_fpn((800, 1067))}
    # 13 of the 16 in the residual blocks have stride 1; FPN: 4; RPN: 5.
    assert sum(len(chain.channels) - 1 for chain in chains.values()) == 13 + 4 + 5
    assert chains["conv2"] == ("conv2", (64, 64, 64, 64), 200, 272)
    assert chains["P5"] == ("P5", (256, 256, 256), 25, 34)
    assert chains["P6"][2:] == (13, 17)


def test_the_work_of_a_chain():
    work = work_of(Chain("one", (3, 8, 5), 10, 13), batch=2)
    kernels = 3 * 8 + 8 * 5
    assert work.products == 36 * 2 * (3 * 4) * kernels
    assert work.direct == 9 * 2 * 130 * kernels
    assert work.moved == 4 * (2 * 130 * (3 + 8 + 8 + 5) + 9 * kernels)
    rates = {"operations": 1e6, "bytes": 1e5}
    forward, training = (
        report.floor_of(sides.Point([Chain("one", (3, 8, 5), 10, 13)], 2, training), rates)
        for training in (False, True)
    )
    assert forward["winograd"] == pytest.approx(work.products / 1e6 + work.moved / 1e5)
    assert training["direct"] == pytest.approx(3 * forward["direct"])


def test_all_processes_draw_the_same_aligned_numbers():
    data, kernels, gradient = worker.inputs_of((3, 8, 5), 10, 13, 2, True)
    assert (data.shape, gradient.shape) == ((2, 3, 10, 13), (2, 5, 10, 13))
    assert [weights.shape for weights, _ in kernels] == [(8, 3, 3, 3), (5, 8, 3, 3)]
    again = worker.inputs_of((3, 8, 5), 10, 13, 2, False)
    assert again.gradient is None
    np.testing.assert_array_equal(data, again.data)
    assert data.dtype == "float32"
    assert data.ctypes.data % worker.ALIGNMENT == 0


def test_a_sample_meets_all_columns(monkeypatch):
    monkeypatch.setattr(worker, "SAMPLE", 20)
    array = np.arange(100).reshape(10, 10)
    assert worker.sample(array).tolist() == list(range(0, 100, 5))
    assert set(worker.sample(np.arange(96)) % 4) == {0, 1, 2, 3}
    assert len(worker.sample(np.arange(10))) == 10


# --- the tool -------------------------------------------------------------------------------------


def test_table_and_files(network, peer, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    peer("fake")
    out, page, picture = (tmp_path / name for name in ("out.json", "out.md", "out.png"))
    files = ("--json", out, "--markdown", page, "--plot", picture)
    assert tiny.tool("benchmark_convs", *OPTIONS, "--batch", 2, "--train", *files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "tiny, forward, 10x13, batch 2, 1 threads"
    assert lines[3].endswith("fake 1.0")
    second = lines.index("tiny, forward and backward, 10x13, batch 2, 1 threads")
    begins = ("detkit ", "mxnet ", "fake ")
    for table, names in (
        (lines[6:second], ["detkit", "mxnet", "fake"]),
        (lines[second + 4 :], ["detkit", "mxnet"]),
    ):
        assert [line.split()[0] for line in table if line.startswith(begins)] == names

    forward, training = json.loads(out.read_text())
    assert (forward["network"], forward["size"], forward["batch"]) == ("tiny", [10, 13], 2)
    assert set(forward["sides"]) == {"detkit", "mxnet", "fake"}
    side = forward["sides"]["detkit"]
    assert side["median"] == pytest.approx(np.median(side["seconds"]))
    assert set(side["chains"]) == {"one", "two"}
    assert 0 < side["difference"] < 1e-5  # detkit's operator sums in another order than MXNet's
    assert forward["sides"]["mxnet"]["difference"] == 0
    assert 0 < forward["sides"]["fake"]["difference"] < 1e-5
    assert forward["workspace"]["forward"] > 36 * 4 * 8 * 5  # the weights at the points
    assert forward["rates"]["operations"] > 1e8
    assert (forward["training"], training["training"]) == (False, True)
    assert set(training["sides"]) == {"detkit", "mxnet"}
    assert 0 < training["sides"]["detkit"]["difference"] < 1e-5  # of the gradients
    assert training["floor"]["winograd"] > forward["floor"]["winograd"] / 10
    text = page.read_text()
    assert text.startswith("## tiny, forward, 10x13, batch 2, 1 threads\n")
    assert "| ms | detkit | mxnet | fake |\n| --- | ---: | ---: | ---: |\n| one | " in text
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "form, fragments",
    [
        ("fake wrong", ("fake wrong, one", "0.001", "found 0.01", "mxnet", "--no-compare")),
        ("fake short", ("fake short, one", "'output'", "expected 650 values, found 520")),
    ],
)
def test_sides_that_disagree(form, fragments, network, peer, capsys):
    peer(form, instead=True)
    tiny.assert_says(tiny.refused(capsys, "benchmark_convs", *OPTIONS), *fragments)


def test_sides_that_disagree_can_be_measured(network, peer, tmp_path):
    peer("fake wrong")
    out = tmp_path / "out.json"
    options = ("--no-compare", "--peer", "ncnn=/absent", "--json", out)
    without = ("--without", "ncnn winograd", "ncnn direct")
    assert tiny.tool("benchmark_convs", *OPTIONS, *options, *without) == 0
    (figures,) = json.loads(out.read_text())
    assert figures["sides"]["fake wrong"]["difference"] == pytest.approx(0.01, rel=0.01)


def test_the_points_of_a_sweep(monkeypatch):
    tool = tiny.module_of("benchmark_convs")
    monkeypatch.setattr(tool, "SWEEP", (((32, 32), (32, 64)), (1, 2)))
    args = tool.parsed(["vgg16", "--sweep", "--train"])
    assert [measurement[1:] for measurement in tool.measurements(args)] == [
        (size, batch, training)
        for training in (False, True)
        for size, batch in (((32, 32), 1), ((32, 64), 1), ((32, 32), 2))
    ]
    (one, other) = tool.measurements(tool.parsed([]))
    assert (one[:2], other[:2]) == (("vgg16", (600, 800)), ("r50_fpn", (800, 1067)))


@pytest.mark.parametrize(
    "arguments, fragments",
    [
        (("absent",), ("'absent'", "vgg16, r50_fpn")),
        (("--size", "600"), ("--size", "600x800", "found '600'")),
        (("--peer", "caffe"), ("--peer", "torch, openvino, ncnn", "found 'caffe'")),
        (("--without", "detkit"), ("--without", "'detkit'", "'ncnn direct'")),
    ],
)
def test_wrong_arguments(arguments, fragments, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool("benchmark_convs", *arguments)
    assert caught.value.code == 2
    tiny.assert_says(capsys.readouterr().err.split("error: ")[1], *fragments)


def test_which_sides_there_are(monkeypatch):
    peers = {"torch": "/peer/python", "openvino": None, "ncnn": None}
    found = sides.sides_of(peers, training=False)
    assert [side.name for side in found] == [
        "detkit",
        "mxnet",
        "torch",
        "torch channels_last",
        "openvino",
        "ncnn winograd",
        "ncnn direct",
    ]
    assert all(side.script.is_file() for side in found)
    assert {side.python for side in found if side.name.startswith("torch")} == {"/peer/python"}
    trained = sides.sides_of(peers, training=True)
    assert [side.name for side in trained] == ["detkit", "mxnet", "torch", "torch channels_last"]


@pytest.mark.skipif(len(processor.levels()) < 2, reason="the processor has one level only")
@pytest.mark.usefixtures("no_limit")
def test_a_limit_leaves_out_what_it_does_not_hold(monkeypatch):
    assert sides.left_out(sides.PEERS) == {}
    monkeypatch.setenv(processor.VARIABLE, processor.levels()[0].name)
    assert set(sides.left_out(sides.PEERS)) == {"openvino", "ncnn"}


@pytest.mark.parametrize("peer", sides.PEERS)
def test_the_interpreter_of_a_peer_needs_no_detkit(needs_no_detkit, peer):
    needs_no_detkit(peer, f"benchmark.convolutions.worker_{peer}")
