"""A short run of tools/fuzz_deploy.py; the long ones are run by hand."""

import importlib.util
import shutil
from types import SimpleNamespace

import pytest

from support import deploy, tiny

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="needs a C++ compiler"
)
CASES = {"graph": 2000}
NEEDS = pytest.mark.skipif(not deploy.has_jpeg_png(), reason="needs libjpeg and libpng")
IMAGES = [pytest.param(name, marks=NEEDS) for name in ("jpeg", "png")]
FORMATS = ("model", "graph", "parameters", "ppm", *IMAGES, "options", "names")


@pytest.fixture(scope="module")
def fuzz_deploy():
    path = tiny.ROOT / "tools/fuzz_deploy.py"
    spec = importlib.util.spec_from_file_location("fuzz_deploy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def program(fuzz_deploy, tmp_path_factory):
    """The readers under the sanitizers, compiled once, and without the time of optimising them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuzz_deploy, "FLAGS", (*fuzz_deploy.FLAGS, "-O0"))
        return fuzz_deploy.build(tmp_path_factory.mktemp("fuzz"))


def arguments(folder, cases, file=None):
    return SimpleNamespace(cases=cases, seed=0, crashes=folder, file=file, libfuzzer=False)


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files(fuzz_deploy, program, tmp_path, name):
    cases = CASES.get(name, 5000)
    result = fuzz_deploy.fuzz(program, name, arguments(tmp_path, cases))
    assert result.failure is None
    assert result.accepted + result.refused == cases
    assert result.accepted > 0
    assert (result.refused > 0) == (name != "names")  # any bytes are a name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_the_seeds_are_accepted(fuzz_deploy, program, tmp_path, name):
    seeds = sorted((tiny.ROOT / "tools/deploy/fuzz/seeds" / name).iterdir())
    for seed in seeds:
        result = fuzz_deploy.fuzz(program, name, arguments(tmp_path, 1, seed))
        assert (result.accepted, result.failure) == (1, None)


def test_a_failure_is_kept_and_told(fuzz_deploy, tmp_path):
    """A program that fails as one under a sanitizer does."""
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "ERROR: AddressSanitizer" >&2\necho case > "$4"\nexit 1\n')
    program.chmod(0o755)
    result = fuzz_deploy.fuzz(program, "ppm", arguments(tmp_path, 7))
    tiny.assert_says(result.failure, "AddressSanitizer", f"--only ppm --file {tmp_path}/ppm-0")
    assert (tmp_path / "ppm-0").read_text() == "case\n"
    assert "| ppm | 7 | - | - | 1 |" in fuzz_deploy.table([result])
