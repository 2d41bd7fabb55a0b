"""The name for pip is written in one place, and everything that names it agrees."""

import re
import subprocess

import pytest

from detkit.wording import DISTRIBUTION, install
from support import tiny

# What pip is given: a name with extras, a version or a place, or the word after "pip install".
REQUIREMENT = re.compile(
    r"""(?<![\w./-])(detkit[\w-]*)(?:\[[a-z]+[],]|[=<>]=|\s@\s)"""
    r"""|pip\ install\ (?:-\S+\ )*['"]?(detkit[\w-]*)(?![\w/.-])""",
    re.VERBOSE,
)
WHEEL = re.compile(r"\b(detkit\w*)-\d+\.\d+\.\d+")
OWN = "tests/house/test_distribution.py"


def required(text):
    """The names that a text gives to pip."""
    return ["".join(names) for names in REQUIREMENT.findall(text)]


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
    found = {
        name: wrong
        for name, text in texts()
        for wrong in [
            {*required(text)} - {DISTRIBUTION}
            | {*WHEEL.findall(text)} - {DISTRIBUTION.replace("-", "_")}
        ]
        if wrong and name != OWN
    }
    assert found == {}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("pip install 'detkit[onnx]'", "detkit"),
        ('pip install "detkit[cpu] @ file://x"', "detkit"),
        ("pip install -U 'detkit-gluon[cpu]'", "detkit-gluon"),
        ("pip install detkit==0.1", "detkit"),
        ("pip install detkit and more", "detkit"),
        ('pip install -e ".[cpu]"', None),
        ("from detkit import load", None),
    ],
)
def test_what_is_looked_for(text, named):
    assert required(text) == [named] * (named is not None)


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
