"""The guides: their plugins train, and their commands have arguments that the tools take."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from detkit.registry import BACKBONES
from support import tiny

WITH_PLUGINS = ("README.md", "plugins/README.md")
WITH_COMMANDS = (
    "README.md",
    "configs/README.md",
    "detkit/README.md",
    "detkit/ops/native/README.md",
    "plugins/README.md",
    "tools/README.md",
    "tools/deploy/README.md",
)
COMMAND = re.compile(r"python tools/(\w+)\.py\b([^`\n|;]*)")
TOOLS = sorted(path.stem for path in (tiny.ROOT / "tools").glob("*.py"))


@pytest.mark.parametrize("guide", WITH_PLUGINS)
def test_the_plugin_of_a_guide_trains_and_is_loaded_again(guide, tmp_path, monkeypatch):
    text = (tiny.ROOT / guide).read_text(encoding="utf-8")
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "TinyNet" in c)
    config = tiny.project(tmp_path)
    Path(tmp_path, "plugins/my_backbone.py").write_text(code, encoding="utf-8")
    # Both guides define a part of this name, which in one process could be registered only once.
    monkeypatch.setattr(BACKBONES, "_entries", dict(BACKBONES._entries))
    overrides = ("train.epochs=1", "model.backbone={type: TinyNet}")
    assert tiny.train(config, tmp_path / "work", *overrides) == 0
    best = tmp_path / "work/checkpoints/best"
    assert tiny.tool("test", tmp_path / "work/config.yaml", best) == 0


def commands_of(guide):
    """[(tool, [argument, ...])] of the commands in a guide; there are some."""
    text = (tiny.ROOT / guide).read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [
        (name, shlex.split(arguments.split("&&")[0], comments=True))
        for name, arguments in COMMAND.findall(text)
    ]
    assert commands
    return commands


class Parsed(Exception):
    """A tool's arguments were right."""


@pytest.fixture
def parse(monkeypatch):
    """A function that runs a tool until it has parsed its arguments."""
    genuine = argparse.ArgumentParser.parse_args

    def parse_args(parser, *arguments):
        genuine(parser, *arguments)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)

    def run(name, *arguments):
        with pytest.raises(Parsed):
            tiny.tool(name, *arguments)

    return run


@pytest.mark.parametrize("guide", WITH_COMMANDS)
def test_the_tools_take_the_arguments_of_the_commands(guide, parse, capsys):
    for name, arguments in commands_of(guide):
        try:
            parse(name, *arguments)
        except SystemExit:
            pytest.fail(f"tools/{name}.py {' '.join(arguments)}: {capsys.readouterr().err}")
        for argument in arguments:
            if argument.startswith("configs/"):
                assert (tiny.ROOT / argument).exists(), argument


def test_the_guide_of_the_tools_has_a_command_of_each():
    assert {name for name, _ in commands_of("tools/README.md")} == set(TOOLS)


def test_the_guide_names_the_tools_that_take_set(capsys):
    text = (tiny.ROOT / "tools/README.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"^(`demo`.*) take one config, and `--set", text, re.MULTILINE)
    takes_set = set()
    for name in TOOLS:
        with pytest.raises(SystemExit):
            tiny.tool(name, "--help")
        if "--set " in capsys.readouterr().out:
            takes_set.add(name)
    assert set(re.findall(r"`(\w+)`", sentence)) == takes_set
