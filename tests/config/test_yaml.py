"""YAML text to values and back: scalars, references to the environment, refusals."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detkit.config import to_plain
from detkit.config.yaml import dump_yaml, parse_yaml
from detkit.errors import ConfigError


def parse(text):
    """The value of ``text`` as if it stood in a.yaml."""
    return parse_yaml(text, lambda mark: f"a.yaml:{mark.line + 1}" if mark else "a.yaml")


def message(text):
    """Why ``text`` is refused."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("3", 3),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("'1e-3'", "1e-3"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    read = parse(f"key: {text}\n")["key"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("a: 1\nb: [1, 2\n", ["a.yaml:3:1: ", "malformed YAML"]),
        ("a: 1\n\tb: 2\n", ["a.yaml:2:1: ", "malformed YAML"]),
        ("a: 1\n---\nb: 2\n", ["a.yaml:2:1: ", "malformed YAML", "another document"]),
        ("a: \x07\n", ["a.yaml: ", "malformed YAML"]),
        ("a: *b\n", ["a.yaml:1:4: ", "malformed YAML", "undefined alias"]),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", ["a.yaml:4: a.b: ", "once", "a.yaml:2"]),
        ("a: !!python/object/apply:os.system [ls]\n", ["a.yaml:1: ", "tag !!python/object"]),
        ("a: !mine {b: 1}\n", ["a.yaml:1: ", "tag !mine"]),
        ("a: !mine 1\n", ["a.yaml:1: ", "tag !mine"]),
        ("a: !!int x\n", ["a.yaml:1: a: ", "expected int", "found 'x'"]),
        ("a:\n  1: b\n", ["a.yaml:2: ", "a string as key", "found 1; quote it"]),
        ("[a]: b\n", ["a.yaml:1: ", "a string as key", "a list or mapping"]),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", ["a.yaml:3: ", "merge key (<<)", "_base_"]),
        ("a: {_base_: b.yaml}\n", ["a.yaml:1: a._base_: ", "at the top level"]),
        ("a: {_delete_: 1}\n", ["a.yaml:1: a._delete_: ", "true or false", "found 1"]),
        ("a: &a [*a]\n", ["a.yaml: ", "at most", "alias"]),
        ("a: " + "[" * 5000, ["a.yaml: ", "at most 100 levels"]),
    ],
)
def test_bad_text_is_refused_with_its_place(text, fragments):
    refused = message(text)
    for fragment in fragments:
        assert fragment in refused


def test_alias_bombs_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * 10) + "]")
    refused = message("\n".join(lines))
    assert refused.startswith("a.yaml: ")
    assert "at most 20000 values" in refused


def test_environment_is_substituted(monkeypatch):
    monkeypatch.setenv("DETKIT_LR", "1e-3")
    monkeypatch.setenv("DETKIT_ROOT", "/data")
    monkeypatch.delenv("DETKIT_NONE", raising=False)
    text = (
        "lr: ${DETKIT_LR}\nroot: ${DETKIT_ROOT}/bccd\nepochs: ${DETKIT_NONE:12}\n"
        'empty: "${DETKIT_NONE:}"\nliteral: $${DETKIT_LR}\nlist: ["${DETKIT_ROOT}", 1]\n'
    )
    config = parse(text)
    assert config["lr"] == 0.001
    assert config["root"] == "/data/bccd"
    assert config["epochs"] == 12
    assert config["empty"] == ""
    assert config["literal"] == "${DETKIT_LR}"
    assert config["list"] == ["/data", 1]
    assert config.where("root") == "a.yaml:2 (${DETKIT_ROOT})"
    assert config["list"].where(0) == "a.yaml:6 (${DETKIT_ROOT})"
    assert config["list"].where(1) == "a.yaml:6"


def test_bad_references_are_refused(monkeypatch):
    monkeypatch.delenv("DETKIT_NONE", raising=False)
    refused = message("data:\n  root: x/${DETKIT_NONE}\n")
    assert refused.startswith("a.yaml:2: data.root: ")
    assert "variable DETKIT_NONE" in refused
    assert "${DETKIT_NONE:default}" in refused
    refused = message("x: ${1A\n")
    assert refused.startswith("a.yaml:1: x: ")
    assert "found '${1A'" in refused
    assert "$${ for a literal" in refused


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text(min_size=1).filter(lambda key: key not in ("_base_", "_delete_", "<<"))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=12
)


@given(st.dictionaries(KEYS, VALUES))
@example({"\x85": "a\u2028b", "c": ["\ufeff", "${X}", "1e-3"]})
def test_every_value_survives_dump_and_load(values):
    read = to_plain(parse(dump_yaml(values)))
    assert read == values
    assert repr(read) == repr(values)  # 1, 1.0 and True are equal, but not the same
