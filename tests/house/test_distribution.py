"""The name for pip is written in one place, and everything that names it agrees."""

import re
import subprocess

import pytest

from detkit.wording import DISTRIBUTION, install
from support import tiny

# pip's argument, in a command or a requirement: "detkit", perhaps with extras or a version. Paths,
# "import detkit" and the command are others.
REQUIREMENT = re.compile(
    r"""(?:install|wheel|requires?)\s[^\n`]*?['" ](detkit[\w-]*)(?=[\['"<>=~ ]*[\[<>=~'"])"""
)
WHEEL = re.compile(r"\b(detkit\w*)-\d+\.\d+\.\d+")


def texts():
    """(path, text) of each file of the project that people and programs read."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=tiny.ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip(f"the files of the project are not known: {listed.stderr.strip()}")
    for name in listed.stdout.split("\n"):
        path = tiny.ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".sh", ".yaml") and path.is_file():
            yield name, path.read_text(encoding="utf-8")


def test_no_other_name_is_installed():
    found = {}
    for name, text in texts():
        for pattern, expected in (
            (REQUIREMENT, DISTRIBUTION),
            (WHEEL, DISTRIBUTION.replace("-", "_")),
        ):
            wrong = [one for one in pattern.findall(text) if one != expected]
            found.update({name: wrong} if wrong else {})
    assert found == {}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("pip install 'detkit[onnx]'", "detkit"),
        ('pip install "detkit[cpu] @ file://x"', "detkit"),
        ("pip install -U 'detkit-gluon[cpu]'", "detkit-gluon"),
        ("pip install detkit==0.1", "detkit"),
        ('pip install -e ".[cpu]"', None),
        ("from detkit import load", None),
    ],
)
def test_what_is_looked_for(text, named):
    assert REQUIREMENT.findall(text) == [named] * (named is not None)


def test_the_metadata_has_the_same_name():
    text = (tiny.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (name,) = re.findall(r'^\[project\]\nname = "(.+?)"', text, re.MULTILINE)
    assert name == DISTRIBUTION != "detkit"
    assert install("onnx") == f"pip install '{DISTRIBUTION}[onnx]'"


def test_every_extra_that_a_message_names_exists():
    setup = (tiny.ROOT / "setup.py").read_text(encoding="utf-8")
    extras = set(re.findall(r'^        "(\w+)": ', setup[setup.index("extras_require") :], re.M))
    named = {
        extra
        for name, text in texts()
        if name.startswith(("detkit/", "tools/"))
        for extra in re.findall(r"""\binstall\(['"](\w+)['"]\)""", text)
    }
    assert named >= {"onnx", "cpu", "cu112", "rcnn", "zoo", "plot"}
    assert named <= extras
