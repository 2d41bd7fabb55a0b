"""What the tests share: small networks, a place for data from outside, hypothesis's settings."""

import os

# Before MXNet, which reads it once, and for the processes that the tests start as well: another
# number of threads adds up in another order. One, because the arrays are small: on a machine that
# has other work, or in a program of several threads, two would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A process that tests many networks would keep the weights of all of them, a gigabyte.
os.environ.setdefault("DETKIT_KEPT_WEIGHTS", "64")

import detkit  # noqa: E402, F401, I001 - before MXNet as well, for DETKIT_ISA

import collections  # noqa: E402
import contextlib
import fcntl
import functools
import gc
import shutil

import mxnet as mx
import pytest
from hypothesis import settings

from detkit import processor
from detkit.ops import backend
from support import deploy, small, tiny
from support.environment import OPERATORS


def pytest_terminal_summary(terminalreporter):
    """Says at the end, in every run, which operators were tested and on what."""
    terminalreporter.write_line(f"processor: {processor.describe()}")
    terminalreporter.write_line(f"operators: {OPERATORS.name} ({OPERATORS.reason})")
    if OPERATORS.name != "native":
        terminalreporter.write_line("the tests of detkit's own operators were skipped")


def pytest_configure(config):
    """Leaves the order of the files to the sort below.

    By default, xdist ends with the files of few tests, of which some take a minute.
    """
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Puts the files with slow tests first in a run of several processes, then those of many tests.

    The processes then end together: what is left for the last of them is quick.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    tests = collections.Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path]))


def pytest_collection_finish():
    """What is there by now stays, and the collections after each test need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def what_a_file_leaves():
    """Libraries that its tests imported, and caches: they stay as well."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left():
    """Collects the networks of a test, which are made of circles, and waits for MXNet.

    If an operator failed and nobody read its result, MXNet would let an operator of a later test
    fail that draws random numbers as well.
    """
    yield
    gc.collect()
    with contextlib.suppress(mx.MXNetError):
        mx.nd.waitall()


@pytest.fixture(autouse=True)
def operators_of_the_run():
    """Restores the operators of the process, which a test that loads a detector chooses."""
    before = backend.state.chosen, backend.state.direct
    yield
    backend.state.chosen, backend.state.direct = before


# The same examples on every machine: a test that fails, fails for everybody.
settings.register_profile("detkit", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("detkit")


@pytest.fixture(scope="session")
def built_library():
    """The path of detkit's compiled operators."""
    if OPERATORS.name != "native":
        pytest.skip(f"no native operators: {OPERATORS.reason}")
    return OPERATORS.reason


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """The folder of the C++ program, which the first of the processes that test it builds.

    It is built without OpenCV: the program reads PPM, and with libjpeg and libpng JPEG and PNG.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "deploy"
    with (shared / "deploy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            deploy.build(folder)
            (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def common_build(request):
    """``build`` in a run of several processes, where other tests need it as well; else None."""
    several = "PYTEST_XDIST_WORKER" in os.environ and shutil.which("cmake") and shutil.which("c++")
    return request.getfixturevalue("build") if several else None


@pytest.fixture
def checked_by_common_build(common_build, monkeypatch):
    """``export --check`` finds the C++ program in ``common_build``, if there is one."""
    if common_build:
        from detkit.commands import export

        monkeypatch.setattr(export, "deploy_folders", lambda: (deploy.SOURCES, common_build))


@pytest.fixture
def own_convolutions(built_library):
    """detkit's operators, those for convolutions among them, however the tests were started."""
    with pytest.MonkeyPatch.context() as patch, backend.using("native"):
        patch.delenv(backend.CONVOLUTIONS_VARIABLE, raising=False)
        yield


@pytest.fixture
def no_limit(monkeypatch):
    """The environment without a limit of the instruction set, however the tests were started."""
    monkeypatch.delenv(processor.VARIABLE, raising=False)
    monkeypatch.delenv(processor.ONEDNN_VARIABLE, raising=False)


@pytest.fixture
def small_model():
    """A function that builds a FasterRCNN, or a ``kind``, of 3 classes; arguments replace parts."""
    return small.build


@pytest.fixture
def images():
    """A function: B images of the given (h, w), padded: (B, 3, H, W) and sizes (B, 2), numpy."""
    return small.draw_images


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The tiny config, in a project of its own."""
    return tiny.project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def reference(config, tmp_path_factory):
    """The folder of two epochs, three steps each, without interruption."""
    folder = tmp_path_factory.mktemp("reference")
    assert tiny.train(config, folder) == 0
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project with a finished run in work/."""
    return tiny.finished_project(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    """A copy of it, as the current folder; the config is configs/tiny.yaml."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(finished, tmp_path, symlinks=True, dirs_exist_ok=True)


@pytest.fixture
def refused(project, capsys):
    """Runs a tool that must fail in ``project``; its message."""
    return functools.partial(tiny.refused, capsys)
