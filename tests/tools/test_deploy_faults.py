"""tools/deploy without threads, without memory, and with folders and names that would harm it."""

import json
import os
import re
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest

from detkit.export.manifest import PARAMETERS, SYMBOL
from support import hostile_exports as hostile
from support import hostile_parameters, tiny
from support.deploy import NEEDED, built, run
from support.hostile_shapes import SHAPES

pytestmark = NEEDED


def limited(**limits):
    """What a process does first: it takes limits of the system, for example AS=bytes."""

    def set_limits():
        for name, limit in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))

    return set_limits


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_threads_that_cannot_be_made(build, folder, images, tmp_path):
    library = tmp_path / "few_threads.so"
    source = Path(__file__).with_name("few_threads.cc")
    built("c++", "-shared", "-fPIC", source, "-o", library, "-ldl")
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    done = run(build / "detect", folder, *images[1] * 15, "--threads", 60, env=environment)
    assert (done.returncode, done.stdout) == (1, b"")
    tiny.assert_says(done.stderr.decode(), "--threads 60: expected 60 threads, found ", "fewer")


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
@pytest.mark.parametrize("limit", [1_600_000, 1_800_000])
def test_memory_that_is_not_there_for_all_threads(build, folder, images, limit):
    limits = limited(AS=limit << 10)
    done = run(build / "detect", folder, *images[1] * 15, "--threads", 60, preexec_fn=limits)
    assert (done.returncode, done.stdout) == (1, b"")
    said = done.stderr.decode()
    tiny.assert_says(said, "--threads 60: expected ", f"a limit of {limit >> 10} MiB", "at most ")
    most = int(re.search(r"at most (\d+) threads", said)[1])
    words = ("--threads", most, *images[1] * 15)
    done = run(build / "detect", folder, *words, preexec_fn=limits)
    assert (done.returncode, done.stderr) == (0, b"") and most > 1
    assert done.stdout.count(b"\n") == len(images[1]) * 15


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_memory_that_is_not_there(build, folder, images):
    with (folder / PARAMETERS).open("r+b") as file:
        file.truncate(1 << 30)
    done = run(build / "detect", folder, images[1][0], preexec_fn=limited(AS=3 << 28))
    assert (done.returncode, done.stdout) == (1, b"")
    tiny.assert_says(done.stderr.decode(), "memory", "--threads", "--batch")


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_too_little_memory_for_mxnet(build, folder, images):
    done = run(build / "detect", folder, images[1][0], preexec_fn=limited(AS=1 << 29))
    assert (done.returncode, done.stdout) == (1, b"")
    tiny.assert_says(done.stderr.decode(), "at least 640 MiB", "found 512 MiB", "raise the limit")


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
@pytest.mark.parametrize(
    "case", ["a huge output", "a head that is not there", "no group", "an output that is not there"]
)
def test_graphs_that_crash_mxnet(folder, images, refused, case):
    change, fragments = hostile.GRAPHS[case]
    hostile.change_graph(folder, change)
    tiny.assert_says(refused(folder, images[1][0]), f"{folder}/{SYMBOL}: ", *fragments)


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
@pytest.mark.parametrize("case", SHAPES)
def test_shapes_that_crash_mxnet(plain_folder, images, refused, case):
    change, fragments = SHAPES[case]
    hostile.change_graph(plain_folder, change)
    tiny.assert_says(refused(plain_folder, images[1][0]), f"{plain_folder}/{SYMBOL}: ", *fragments)


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_parameters_that_mxnet_would_leave_out(folder, images, refused):
    change, fragments = hostile_parameters.PARAMETER_FILES["one less"]
    hostile.change_file(folder, PARAMETERS, change)
    tiny.assert_says(refused(folder, images[1][0]), f"{folder}/{SYMBOL}: ", *fragments)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(build, folder, images, value, tmp_path):
    hostile_parameters.break_weights(folder, value)
    words = (folder, images[1][0], "--score", 0, "--draw", tmp_path / "out", "--json")
    done = run(build / "detect", *words)
    if done.returncode:
        assert done.returncode == 1 and b"finite" in done.stderr
    else:
        for one in json.loads(done.stdout)["detections"]:
            assert np.isfinite(one["box"]).all()


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_files_without_an_end(folder, refused):
    assert "/dev/zero: expected an image" in refused(folder, "/dev/zero")


@pytest.mark.parametrize("detector", ["FasterRCNN"], indirect=True)
def test_a_name_that_is_not_utf8(build, folder, images, tmp_path):
    name = os.fsencode(tmp_path) + b"/gr\xf6\xdfe.ppm"
    with open(name, "wb") as file:
        file.write(images[1][0].read_bytes())
    done = subprocess.run([build / "detect", folder, name], capture_output=True, timeout=120)
    assert done.returncode == 0
    assert json.loads(done.stdout.decode("utf-8"))["path"] == f"{tmp_path}/gr\ufffd\ufffde.ppm"
