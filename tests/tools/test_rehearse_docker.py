"""tools/docker/Dockerfile: what it copies and installs, and how its lines are run elsewhere."""

import re

import pytest

from detkit.errors import DetkitError
from support import tiny

DOCKERFILE = tiny.ROOT / "tools/docker/Dockerfile"


@pytest.fixture
def rehearse(monkeypatch):
    """The tool. Instead of running commands, it notes them."""
    module = tiny.module_of("rehearse_docker")
    module.commands = []
    monkeypatch.setattr(module, "enter", lambda words: module.commands.append(list(words)))
    return module


def test_the_wheel_is_built_in_one_stage_and_installed_in_another(rehearse):
    wheel, image = rehearse.read_stages(DOCKERFILE.read_text())
    assert wheel.name == "wheel" and image.name == ""
    assert re.fullmatch(r"python:3\.(8|9|10|11|12)-slim-\w+", image.image)
    assert wheel.image == image.image
    commands = " ".join(line.text for line in image.lines if line.instruction == "RUN")
    # No compiler, no libGL, and the headless OpenCV after the other one was removed.
    assert re.search(r"\bg\+\+|libgl", commands) is None
    assert "libgomp1 libquadmath0" in commands
    removed = commands.index("pip uninstall -y opencv-python ")
    assert commands.index("/dist/*.whl") < removed < commands.index("opencv-python-headless<4.12")
    assert [line.text for line in image.lines if line.instruction == "USER"] == ["detkit"]


def test_what_is_not_ignored_is_what_the_wheel_is_made_of(rehearse, tmp_path):
    rehearse.copy_context(tmp_path)
    copied = {path.name for path in tmp_path.iterdir()}
    needed = {name.partition("/")[0] for name in tiny.module_of("build_wheel").PACKAGE}
    assert copied == needed
    assert list(tmp_path.rglob("__pycache__")) == []
    assert (tmp_path / "tools/build_wheel.py").exists()


def test_the_extras_of_the_image_exist(rehearse):
    setup = (tiny.ROOT / "setup.py").read_text()
    extras = {
        name
        for names in re.findall(r"\[([a-z0-9,]+)\]\"", DOCKERFILE.read_text())
        for name in names.split(",")
    }
    assert extras == {"cpu", "onnx", "wheel"}
    assert all(f'"{name}": ' in setup for name in extras)


TWO_STAGES = """# A comment.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS wheel
WORKDIR /src
COPY . .
RUN one && \\
    two
FROM python:${PYTHON}-slim
COPY --from=wheel /src /dist
RUN three
"""


def test_lines_are_run_in_the_root_of_their_stage(rehearse, tmp_path, capsys):
    wheel, image = rehearse.read_stages(TWO_STAGES)
    assert [wheel.image, wheel.name, image.image] == ["python:3.12-slim", "wheel", wheel.image]
    roots = {"wheel": tmp_path / "0", "": tmp_path / "1"}
    for stage in (wheel, image):
        rehearse.run_stage(stage, roots[stage.name], roots)
    shell = ["/bin/sh", "-ec"]
    assert rehearse.commands == [
        [*rehearse.SHELL, tmp_path / "0", *shell, "cd /src && one && two"],
        [*rehearse.SHELL, tmp_path / "1", *shell, "cd / && three"],
    ]
    assert (tmp_path / "1/dist/setup.py").exists()
    tiny.assert_says(capsys.readouterr().out, "Dockerfile:6: RUN one && two")


def test_the_image_is_used_as_its_user(rehearse):
    doctor, trial = rehearse.commands_of(rehearse.read_stages(DOCKERFILE.read_text())[-1])
    as_user = ["runuser", "-u", "detkit", "--", "env", "--chdir=/home/detkit", "HOME=/home/detkit"]
    assert doctor == [*as_user, "detkit", "doctor"]
    assert trial == [*as_user, "detkit", *rehearse.TRIAL.split()]


@pytest.mark.parametrize("text", ["RUN early\n", "FROM a\nADD b c\n"])
def test_an_unknown_line_is_named(rehearse, text):
    with pytest.raises(DetkitError) as caught:
        rehearse.read_stages(text)
    number, word = len(text.splitlines()), text.splitlines()[-1].split()[0]
    tiny.assert_says(str(caught.value), f"Dockerfile:{number}:", repr(word))
