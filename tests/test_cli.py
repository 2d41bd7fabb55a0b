"""The command line that tools share, and tools/print_config.py."""

import importlib.util
from pathlib import Path

import pytest

from detkit import cli
from detkit.config import load_config

TOOLS = Path(__file__).resolve().parents[1] / "tools"


@pytest.fixture(scope="module")
def print_config():
    """The main of the tool, which is a script and not part of a package."""
    spec = importlib.util.spec_from_file_location("tool_print_config", TOOLS / "print_config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_print_config_prints_the_resolved_yaml(print_config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("model: {depth: 18}\n")
    Path("b.yaml").write_text("_base_: a.yaml\nlr: 1e-3\n")
    assert cli.run(print_config, ["b.yaml", "--set", "lr=2e-3", "x.y=z"]) == 0
    printed = capsys.readouterr().out
    Path("c.yaml").write_text(printed)
    again = load_config("c.yaml")
    assert again == {"model": {"depth": 18}, "lr": 2e-3, "x": {"y": "z"}}


def test_print_config_aligns_origins(print_config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("sizes: [1, 2]\nname: x\n")
    cli.run(print_config, ["a.yaml", "--origin", "--set", "none=", "--set", "b=no"])
    assert capsys.readouterr().out == (
        "sizes: [1, 2]  # a.yaml:1\n"
        "name: x        # a.yaml:2\n"
        "none: null     # --set none=\n"
        "b: 'no'        # --set b=no\n"
    )


def test_errors_are_one_message_and_status_1(print_config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(print_config, ["absent.yaml"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: absent.yaml: ")
    assert shown.endswith("No such file or directory\n")
    assert shown.count("\n") == 1
    assert cli.run(print_config, ["absent.yaml", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupts_give_status_130_and_bugs_keep_their_traceback(capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    def broken(argv):
        return argv["x"]

    assert cli.run(interrupted, []) == 130
    with pytest.raises(TypeError):
        cli.run(broken, [])
