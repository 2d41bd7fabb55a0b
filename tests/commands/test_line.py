"""The command ``detkit``: help, mistyped commands, and what happens without MXNet."""

import importlib
import os
import re
import subprocess
import sys

import pytest

import detkit
from detkit import cli
from detkit.commands import line
from support import tiny

# No module of another project but these may be imported for a help or a message.
LIGHT = ("yaml", "detkit")
HEAVY = ("mxnet", "numpy", "cv2", "shtab", "pycocotools", "tqdm")


def said(*words, code=None):
    """What ``detkit WORDS`` prints and its status, in a process that has no MXNet."""
    code = code or (
        "import sys; sys.modules['mxnet'] = None\n"
        "from detkit.__main__ import program; status = program()\n"
        f"print([name for name in {HEAVY} if sys.modules.get(name)])\n"
        "sys.exit(status)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tiny.ROOT), "COLUMNS": "100"},
    )


def test_help_has_a_line_for_each_command_in_order(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.run(line.main, ["--help"])
    assert caught.value.code == 0
    listed = re.findall(r"^  ([a-z-]+)  +\w", capsys.readouterr().out, re.MULTILINE)
    assert [name for name in listed if not name.startswith("-")] == list(line.COMMANDS)


def test_without_a_command_the_help_is_shown(capsys):
    with pytest.raises(SystemExit):
        line.main([])
    assert "COMMAND --help" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        line.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"detkit {detkit.__version__}\n"


@pytest.mark.parametrize("command", line.COMMANDS)
def test_every_command_explains_itself_and_has_a_main(command, capsys):
    with pytest.raises(SystemExit) as caught:
        line.main([command, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: detkit {command}" in shown
    description = line.arguments_of(command).__doc__
    assert "".join(description.split()) in "".join(shown.split())
    if command != "completion":  # needs shtab, see test_completion.py
        module = importlib.import_module(f"detkit.commands.{command.replace('-', '_')}")
        assert callable(module.main)


def test_a_mistyped_command_gets_the_near_match(capsys):
    with pytest.raises(SystemExit) as caught:
        line.main(["tarin", "x.yaml"])
    assert caught.value.code == 2
    tiny.assert_says(capsys.readouterr().err, "found 'tarin'", "did you mean 'train'?")


def test_arguments_that_do_not_go_together_are_an_error_of_the_command(capsys):
    with pytest.raises(SystemExit) as caught:
        line.main(["train", "x.yaml", "--force"])
    assert caught.value.code == 2
    tiny.assert_says(capsys.readouterr().err, "usage: detkit train", "--force belongs to --resume")


def test_python_m_detkit_is_the_same_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "detkit", "doctor", "--sources"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tiny.ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, f"{tiny.ROOT}/tools/deploy\n"), done.stderr


def test_listing_the_configs_imports_nothing_slow():
    done = said("configs")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n[]\n")
    assert "  coco/mask_rcnn_r50_fpn  " in done.stdout


def test_a_command_without_mxnet_says_what_to_install():
    done = said("train", "faster_rcnn_vgg16")
    assert done.returncode == 1
    assert done.stderr.startswith("error: mxnet cannot be imported: ")
    tiny.assert_says(done.stderr, "pip install 'detkit-gluon[cpu]'", "[cu112]")
    assert "Traceback" not in done.stderr
