"""The commands in the guides: their tools, options, configs and overrides exist."""

import argparse
import re
import shlex
import subprocess

import pytest

from detkit.build import open_config
from detkit.commands import line
from support import tiny

GUIDES = (
    *("README.md", "CONTRIBUTING.md", "configs/README.md", "plugins/README.md", "tools/README.md"),
    *(
        "tools/deploy/README.md",
        "tools/docker/README.md",
        "detkit/README.md",
        "detkit/ops/native/README.md",
    ),
    *("tests/README.md", "SECURITY.md", "detkit/ops/README.md", "tools/benchmark/README.md"),
)
TOOL = re.compile(r"python (tools/(\w+)\.py[^`\n]*)")
COMMAND = re.compile(r"(?:^    (?:\.venv/bin/)?|`)detkit ([a-z][a-z-]*)([^`\n>|]*)", re.MULTILINE)


class Parsed(Exception):
    """Carries the arguments of a tool out of it before it does anything."""


def commands():
    """(guide, tool, arguments) of every use of a tool in a guide."""
    for guide in GUIDES:
        text = (tiny.ROOT / guide).read_text(encoding="utf-8")
        for command, tool in TOOL.findall(re.sub(r"\\\n\s*", " ", text)):
            command = re.split(r"\s&&|\s{3,}|\s#", command)[0]
            yield guide, tool, shlex.split(command)[1:]


COMMANDS = list(commands())


def test_no_guide_is_forgotten():
    done = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=tiny.ROOT, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"the files of the project are not known: {done.stderr.strip()}")
    others = {"CHANGELOG.md", "detkit/MODULES.md"}  # earlier commands, and none
    assert set(done.stdout.split()) == {*GUIDES, *others}


def test_the_guides_use_most_tools():
    tools = {path.stem for path in (tiny.ROOT / "tools").glob("*.py")}
    used = {tool for _, tool, _ in COMMANDS}
    assert tools <= used, tools - used


@pytest.mark.parametrize(("guide", "tool", "arguments"), COMMANDS)
def test_a_command_is_understood(guide, tool, arguments, monkeypatch, capsys):
    genuine = argparse.ArgumentParser.parse_args

    def parse(parser, *given):
        raise Parsed(genuine(parser, *given))

    if not arguments:  # a tool that is named in a sentence, without what it is called with
        assert (tiny.ROOT / f"tools/{tool}.py").exists()
        return
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    main = tiny.module_of(tool).main
    try:
        with pytest.raises(Parsed) as caught:
            main(arguments)
    except SystemExit:
        pytest.fail(f"{guide}: {capsys.readouterr().err}")
    (args,) = caught.value.args
    config = getattr(args, "config", None)
    # A run's folder stands for its config, and is not there.
    if config not in (None, "CONFIG") and not config.startswith("work_dirs/"):
        open_config(tiny.ROOT / config, args.set if "set" in args else [])


def lines_of_detkit():
    """(guide, command, arguments) of every use of the command detkit in a guide."""
    for guide in GUIDES:
        text = (tiny.ROOT / guide).read_text(encoding="utf-8")
        for command, arguments in COMMAND.findall(re.sub(r"\\\n\s*", " ", text)):
            yield guide, command, shlex.split(arguments)


@pytest.mark.parametrize(("guide", "command", "arguments"), list(lines_of_detkit()))
def test_a_line_of_detkit_is_understood(guide, command, arguments, capsys):
    assert command in line.COMMANDS, guide
    if arguments:  # otherwise it is named in a sentence
        try:
            line.whole_parser().parse_args([command, *arguments])
        except SystemExit as status:
            assert not status.code, f"{guide}: {capsys.readouterr().err}"
