"""Registering, looking up and building parts; each error names places, names and the remedy."""

import dataclasses
import functools
import inspect
from typing import Optional, Sequence

import pytest

from detkit import registry
from detkit.config import load_config
from detkit.construct import construct
from detkit.errors import ConfigError, DataError
from detkit.plugins import Failure
from detkit.registry import Registry

HERE = "test_registry.py"


@pytest.fixture
def backbones():
    return Registry("backbone")


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads the texts of a chain of configs a.yaml <- b.yaml <- ... with overrides."""
    monkeypatch.chdir(tmp_path)

    def load(*texts, overrides=()):
        for name, base, text in zip("abc", " ab", texts):
            inherit = f"_base_: {base}.yaml\n" if base != " " else ""
            (tmp_path / f"{name}.yaml").write_text(inherit + text)
        return load_config(f"{name}.yaml", overrides)

    return load


def message(call):
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value)


def line_of(name):
    """The line of this file that defines ``name``'s decorator."""
    lines = inspect.getsource(inspect.getmodule(line_of)).splitlines()
    return next(number for number, line in enumerate(lines, 1) if name in line)


def test_classes_and_functions_register_under_a_given_or_their_own_name(backbones):
    @backbones.register()
    class Own:
        pass

    @backbones.register("short")
    def long_name():
        return "made"

    assert backbones.names() == ["Own", "short"]
    assert backbones.get("Own") is Own
    assert backbones.build({"type": "short"}) == "made"
    assert long_name() == "made"
    entry = backbones.entry("short")
    assert (entry.name, entry.target) == ("short", long_name)
    marker = '@backbones.register("sh' + 'ort")'
    assert entry.where.endswith(f"{HERE}:{line_of(marker)}")


def test_a_taken_name_is_refused_with_both_places(backbones):
    backbones.register("a")(int)
    text = message(lambda: backbones.register("a")(float))
    assert "the backbone 'a'" in text
    assert text.count(f"{HERE}:") == 2
    assert "force=True" in text
    assert backbones.get("a") is int
    backbones.register("a", force=True)(float)
    assert backbones.get("a") is float


def test_a_forgotten_call_is_a_type_error(backbones):
    with pytest.raises(TypeError, match="register()"):

        @backbones.register
        class Part:
            pass


# --- unknown names ---------------------------------------------------------------------------


def test_an_unknown_name_lists_near_ones_then_all_then_failed_plugins(
    backbones, load, monkeypatch, tmp_path
):
    for name in ("vgg16", "resnet50", "zoo"):
        backbones.register(name)(int)
    failure = Failure(str(tmp_path / "plugins/p.py"), 3, "ImportError: gone", "Traceback: ...\n")
    monkeypatch.setattr(registry, "FAILED_PLUGINS", [failure])
    config = load("model:\n  backbone:\n    type: VGG-16\n")
    first, second, third, *rest = message(
        lambda: backbones.build(config["model"]["backbone"])
    ).splitlines()
    assert first.startswith("a.yaml:3: model.backbone.type: ")
    assert "unknown backbone" in first
    assert "'VGG-16'" in first
    assert "did you mean 'vgg16'?" in first
    assert second == "  registered: resnet50, vgg16, zoo"
    assert "failed to import" in third
    assert rest == ["    plugins/p.py:3: ImportError: gone", "      Traceback: ..."]


@pytest.mark.parametrize("name", ["far away", None, 5, ["a"]])
def test_names_of_no_kind_are_refused(backbones, name):
    assert "registered: (none)" in message(lambda: backbones.build({"type": name}))


def test_what_is_not_a_part_is_refused(backbones, load):
    backbones.register("a")(int)
    text = message(lambda: backbones.build("a"))
    assert "found 'a' (str)" in text
    assert "registered: a" in text
    config = load("backbone: {typ: a}\n")
    text = message(lambda: backbones.build(config["backbone"]))
    assert text.startswith("a.yaml:1: backbone: ")
    assert "'type' is missing" in text
    assert "did you mean 'typ'?" in text


# --- arguments -------------------------------------------------------------------------------


@dataclasses.dataclass
class Options:
    epochs: int
    lr: float = 0.01
    milestones: Sequence[int] = ()
    name: Optional[str] = None


def test_construct_passes_keys_and_derived_arguments(load):
    config = load("train: {epochs: 2, lr: 1, milestones: [1, 2]}\n")
    assert construct(Options, config["train"], name="x") == Options(2, 1, [1, 2], "x")


def test_a_wrong_key_names_the_near_match_and_the_defaults(load):
    config = load("train:\n  epochs: 2\n  milestone: [1]\n")
    text = message(lambda: construct(Options, config["train"]))
    assert text.startswith(
        "a.yaml:3: train.milestone: unknown key 'milestone'; did you mean 'milestones'?\n"
        "  accepted: epochs (required), lr=0.01, milestones=(), name=None\n"
        "  of Options ("
    )
    assert f"{HERE}:" in text
    assert "_delete_" not in text


def part(depth: int = 18):
    """A part with one key, of which another part's keys are not accepted."""
    return depth


def test_an_inherited_key_of_another_type_brings_the_remedy(backbones, load):
    backbones.register("part")(part)
    base = "backbone: {type: other, groups: 2}\n"
    config = load(base, "backbone: {type: part}\n")
    text = message(lambda: backbones.build(config["backbone"]))
    assert text.startswith("a.yaml:1: backbone.groups: ")
    assert "'groups' was inherited" in text
    assert "`_delete_: true`" in text
    assert "(b.yaml:2)" in text
    config = load(base, "backbone: {_delete_: true, type: part}\n")
    assert backbones.build(config["backbone"]) == 18


def test_the_remedy_follows_type_through_the_chain(backbones, load):
    backbones.register("part")(part)
    chain = ("backbone: {type: x, groups: 2}\n", "backbone: {type: part}\n")
    config = load(*chain, "backbone: {depth: 4}\n")
    assert "_delete_" in message(lambda: backbones.build(config["backbone"]))
    config = load("backbone: {type: part}\n", "backbone: {groups: 2}\n")
    assert "_delete_" not in message(lambda: backbones.build(config["backbone"]))
    config = load(chain[0], overrides=["backbone.type=part"])
    text = message(lambda: backbones.build(config["backbone"]))
    assert "--set 'backbone={type: part}'" in text
    config = load(chain[0], overrides=["backbone={type: part}"])
    assert backbones.build(config["backbone"]) == 18


def test_missing_keys_are_named(load):
    text = message(lambda: construct(Options, load("train: {lr: 1.0}\n")["train"]))
    assert text.startswith("a.yaml:1: train: Options (")
    assert "missing key 'epochs'" in text
    assert "accepted: epochs (required), lr=0.01" in text


def test_derived_arguments_are_not_typed(load):
    config = load("train:\n  epochs: 1\n")
    text = message(lambda: construct(Options, config["train"], epochs=3))
    assert text.startswith("a.yaml:2: train.epochs: ")
    assert "'epochs'" in text
    assert "here 3" in text
    assert "remove the key" in text
    text = message(lambda: construct(Options, config["train"], epoch=3))
    assert text.startswith("a.yaml:2: train: Options (")
    assert "argument 'epoch'" in text
    assert f"{HERE}:" in text
    text = message(lambda: construct(lambda: None, {}, channels=3))
    assert "argument 'channels'" in text


def test_derived_arguments_are_not_listed_as_accepted(load):
    config = load("train: {epoch: 1}\n")
    text = message(lambda: construct(Options, config["train"], epochs=3))
    assert "accepted: lr=0.01, milestones" in text


def test_keyword_catching_parts_take_any_key(backbones):
    backbones.register("any")(lambda depth, **others: (depth, others))
    assert backbones.build({"type": "any", "depth": 1, "x": 2}, y=3) == (1, {"x": 2, "y": 3})


def test_values_are_checked_against_annotations(load):
    config = load("train:\n  epochs: true\n")
    assert message(lambda: construct(Options, config["train"])) == (
        "a.yaml:2: train.epochs: expected int, found True (bool)"
    )
    config = load("train: {epochs: 1, lr: 1e-3x}\n")
    assert "train.lr: expected float, found '1e-3x' (str)" in message(
        lambda: construct(Options, config["train"])
    )
    config = load("train: {epochs: 1, milestones: [1, x]}\n")
    assert "expected a list of int, found [1, 'x'] (list)" in message(
        lambda: construct(Options, config["train"])
    )


def test_partials_are_checked_by_the_function_they_bind(backbones):
    backbones.register("part34")(functools.partial(part, depth=34))
    assert backbones.build({"type": "part34"}) == 34
    assert "expected int" in message(lambda: backbones.build({"type": "part34", "depth": "x"}))


def test_none_is_accepted_where_it_is_the_default_and_bad_annotations_check_nothing():
    def loose(depth: int = None, other: "NotDefinedAnywhere" = 1):  # noqa: F821
        return depth, other

    assert construct(loose, {"depth": None, "other": "x"}) == (None, "x")


@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_a_constructors_own_refusal_gets_the_place(load, error):
    def build(depth):
        raise error("depth must be 18 or 34")

    config = load("backbone: {depth: 19}\n")
    with pytest.raises(ConfigError, match="backbone.depth: .*depth must be 18 or 34") as caught:
        construct(build, config["backbone"])
    assert isinstance(caught.value.__cause__, error)


def test_a_refusal_of_one_argument_may_mention_another(load):
    def build(short, long):
        raise ValueError(f"long: expected at least {short} (the value of short), found {long}")

    config = load("resize:\n  short: 6\n  long: 5\n")
    assert message(lambda: construct(build, config["resize"])).startswith("a.yaml:3: resize.long: ")


def test_other_errors_pass_through():
    def missing_data():
        raise DataError("no images")

    def bug():
        raise ZeroDivisionError

    with pytest.raises(DataError, match="no images"):
        construct(missing_data, {})
    with pytest.raises(ZeroDivisionError):
        construct(bug, {})


def test_what_is_registered_temporarily_is_forgotten():
    parts = Registry("part")
    parts.register("kept")(dict)
    with parts.temporarily():
        parts.register("kept", force=True)(list)
        parts.register("thrown_away")(list)
        assert parts.names() == ["kept", "thrown_away"]
    assert parts.names() == ["kept"]
    assert parts.get("kept") is dict
    with pytest.raises(RuntimeError), parts.temporarily():
        parts.register("thrown_away")(list)
        raise RuntimeError
    assert parts.names() == ["kept"]
