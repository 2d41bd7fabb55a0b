"""tools/benchmark_throughput.py: the ways to share cores, the rates, the C++ program; with made-up
sides."""

import json
import os
import sys

import numpy as np
import pytest

from benchmark.detectors import random_data, sides, worker_process
from benchmark.detectors.agreement import read
from benchmark.detectors.running_ways import WAYS, RunningWay, Way, ways_of
from benchmark.detectors.worker_program import Program, ProgramAnswers
from benchmark.errors import BenchmarkError
from detkit.threads import a_cpu_of_each_core
from support import tiny

FAKE = tiny.ROOT / "tests/support/fake_side.py"
NAME = "fasterrcnn_resnet50_fpn"
STEADY = 0.05  # seconds of one of the fake's runs


def side_of(name, form="steady", precision="fp32"):
    job = {"form": form, "precision": precision, "clock": "wall"}
    return sides.Side(name, FAKE, None, job)


def cores(count):
    """CPUs for a number of cores; if the machine has fewer, some are there several times."""
    return (a_cpu_of_each_core() * count)[:count]


# --- ways -----------------------------------------------------------------------------------------


def test_the_ways_to_share_cores():
    assert ways_of(list(WAYS), 4, 8) == [
        Way("single", instances=1, streams=1, threads=4, batch=1),
        Way("batch", instances=1, streams=1, threads=4, batch=8),
        Way("instances", instances=4, streams=1, threads=1, batch=1),
        Way("streams", instances=1, streams=4, threads=1, batch=1),
    ]
    assert [way.name for way in ways_of(list(WAYS), 1, 8)] == ["single", "batch"]
    assert [way.name for way in ways_of(["batch", "streams"], 2, 1)] == ["streams"]
    texts = [str(way) for way in ways_of(list(WAYS), 4, 8)]
    assert texts == [
        "4 threads, batch 1",
        "4 threads, batch 8",
        "4 processes, 1 thread each, batch 1",
        "4 streams, 1 thread each, batch 1",
    ]


def test_numbers_of_cores():
    default_cores = tiny.module_of("benchmark_throughput").default_cores
    assert [default_cores(n) for n in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


@pytest.mark.parametrize(
    "way, images",
    [
        (Way("single", 1, 1, 2, 1), 1),
        (Way("batch", 1, 1, 2, 3), 3),
        (Way("instances", 2, 1, 1, 1), 2),
        (Way("streams", 1, 2, 1, 1), 2),
    ],
)
def test_images_a_second(way, images, tmp_path):
    with RunningWay(way, [side_of("one"), side_of("two")], cores(2), tmp_path) as running:
        running.use((32, 48))
        assert running.agreements() == {"one": 1.0, "two": 1.0}
        measured = running.measure(rounds=2, seconds=0.1)
    assert list(measured) == ["one", "two"]
    for side in measured.values():
        assert len(side["rates"]) == len(side["peaks"]) == 2
        assert min(side["latencies"]) >= STEADY
        assert 0.3 * images / STEADY < np.median(side["rates"]) <= images / STEADY
        assert min(side["peaks"]) > way.instances * 1e6


@pytest.mark.skipif(len(a_cpu_of_each_core()) < 2, reason="needs two cores")
@pytest.mark.parametrize(
    "way, threads, streams, share",
    [
        (Way("single", 1, 1, 2, 1), "2", None, 2),
        (Way("instances", 2, 1, 1, 1), "1", None, 1),
        (Way("streams", 1, 2, 1, 1), "1", "2", 2),
    ],
)
def test_a_process_has_its_share_of_the_cores(way, threads, streams, share, tmp_path, monkeypatch):
    monkeypatch.delenv("MXNET_CPU_WORKER_NTHREADS", raising=False)
    before = os.sched_getaffinity(0)
    with RunningWay(way, [side_of("one", "environment")], cores(2), tmp_path) as running:
        variables = running.about["one"]
    assert variables["OMP_NUM_THREADS"] == threads
    assert variables.get("MXNET_CPU_WORKER_NTHREADS") == streams
    assert variables["cpus"] == str(cores(2)[:share])
    assert os.sched_getaffinity(0) == before


def test_sides_that_disagree(tmp_path):
    measured = [side_of("one"), side_of("two", "9")]
    with RunningWay(Way("single", 1, 1, 1, 1), measured, cores(1), tmp_path) as running:
        running.use((32, 32))
        with pytest.raises(BenchmarkError) as caught:
            running.agreements()
        assert running.agreements(required=False) == {"one": 1.0, "two": 0.0}
    tiny.assert_says(str(caught.value), "two", "one", "90%", "found 0%", "--no-compare")


# --- the C++ program ------------------------------------------------------------------------------

DETECT = """#!{python}
import json, sys, time
folder, *words = sys.argv[1:]
options = dict(zip(words[:6:2], words[1:6:2]))
assert options.pop("--score") == "0"
for path in words[6:]:
    if folder == "broken":
        sys.exit("detect: broken")
    with open(path, "rb") as file:
        width, height = map(int, file.read().split()[1:3])
    time.sleep(0.05 / int(options["--threads"]) / int(options["--batch"]))
    box = [0, 0, width, height]
    print(json.dumps({{"detections": [{{"box": box, "score": 0.5, "label": 7}}]}}), flush=True)
"""


@pytest.fixture
def answers(tmp_path):
    """A function that makes the answers about a program that is made up."""
    program = tmp_path / "detect"
    program.write_text(DETECT.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    inputs = random_data.write_inputs(tmp_path / "inputs.npz", 2, (32, 48))

    def make(model="exported", streams=1):
        job = {"program": str(program), "model": model, "streams": streams, "clock": "wall"}
        made = ProgramAnswers(Program)
        made.load(job)
        made.use(str(inputs))
        return made

    return make


@pytest.mark.parametrize("streams", [1, 2])
def test_the_program_is_a_side(answers, tmp_path, streams):
    program = answers(streams=streams)
    program.detections(str(tmp_path / "found.npz"))
    found = read(tmp_path / "found.npz")
    assert len(found) == 2
    for image in found:
        arrays = {name: array.tolist() for name, array in image.items()}
        assert arrays == {"boxes": [[0, 0, 48, 32]], "scores": [0.5], "labels": [7]}
    measured = program.work(0.1)
    assert min(measured["seconds"]) >= STEADY
    assert 0.3 * streams / STEADY < measured["rate"] <= streams / STEADY
    assert measured["peak"] > 1e6


def test_a_program_that_ends(answers, tmp_path):
    program = answers("broken")
    with pytest.raises(RuntimeError, match="ended with 1"):
        program.detections(str(tmp_path / "found.npz"))
    with pytest.raises(RuntimeError, match="ended after 0 runs"):
        program.work(0.1)


def test_the_sides_of_the_program(tmp_path):
    assert sides.program_sides(NAME, tmp_path, ["exported"], None) == []
    found = sides.program_sides(NAME, tmp_path, ["static_alloc", "exported", "int8"], "detect")
    assert [side.name for side in found] == ["detkit C++ exported", "detkit C++ int8"]
    assert [side.job["model"] for side in found] == [
        str(tmp_path / n) for n in ("exported", "int8")
    ]
    assert all(side.script.is_file() and side.compared for side in found)


# --- the tool -------------------------------------------------------------------------------------


@pytest.fixture
def fakes(monkeypatch):
    """The tool measures two sides that are made up."""
    measured = [side_of("detkit exported"), side_of("torchvision fp32")]
    monkeypatch.setattr(worker_process, "write_file", lambda *arguments: None)
    monkeypatch.setattr(sides, "sides_of", lambda *arguments: measured)


def test_tables_and_file(fakes, tmp_path, capsys):
    out = tmp_path / "out.json"
    options = ("--size", "32x48", "--cores", 1, "--batch", 2, "--rounds", 1, "--seconds", 0.1)
    assert tiny.tool("benchmark_throughput", NAME, *options, "--json", out) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if line.startswith(NAME)]
    assert headings == [
        f"{NAME}, 32x48, 1 core: {WAYS['single']} (1 thread, batch 1)",
        f"{NAME}, 32x48, 1 core: {WAYS['batch']} (1 thread, batch 2)",
        f"{NAME}, 32x48, 1 core: the best way of each side",
    ]
    titles, ours, peer = lines[-3:]
    assert " ".join(titles.split()) == "images/s our fp32 / s a run peak MB same"
    assert ours.startswith("detkit exported ") and peer.startswith("torchvision fp32 ")
    assert ours.split()[3] == "1.00" and ours.split()[-2:] == ["100%", "batch"]

    single, batch = json.loads(out.read_text())
    assert (single["cores"], single["size"]) == (1, [32, 48])
    assert (single["way"]["name"], batch["way"]["batch"]) == ("single", 2)
    assert batch["sides"]["detkit exported"]["rate"] > single["sides"]["detkit exported"]["rate"]
    assert single["sides"]["torchvision fp32"]["about"] == {"fake": "1.0"}


@pytest.mark.parametrize(
    "arguments, fragments",
    [
        (("--cores", 1, 4096), ("--cores", f"at most {len(a_cpu_of_each_core())}", "4096")),
        (("--cores", 1, "--ways", "streams"), ("--ways streams", "--cores above 1")),
        (("--seconds", "0"), ("--seconds", "above 0", "'0'")),
        (("--program", "/absent/detect"), ("--program", "tools/deploy", "'/absent/detect'")),
        (("--peer", "gluoncv"), ("--peer", "onnxruntime, torchvision, openvino", "'gluoncv'")),
    ],
)
def test_wrong_arguments(arguments, fragments, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool("benchmark_throughput", *arguments)
    assert caught.value.code == 2
    tiny.assert_says(capsys.readouterr().err.split("error: ")[1], *fragments)
