"""Loading, merging, overriding and dumping configs, and the errors that name the place."""

import copy
import pickle

import pytest

from detkit.config import check_keys, dump_config, leaves, load_config, require
from detkit.errors import ConfigError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file below an otherwise empty working directory."""
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    return write


def fails(call, *fragments):
    """Asserts that ``call`` raises ConfigError with every fragment in its message."""
    with pytest.raises(ConfigError) as caught:
        call()
    for fragment in fragments:
        assert fragment in str(caught.value)


# --- places ----------------------------------------------------------------------------------


def test_values_know_their_path_and_line(write):
    config = load_config(
        write("conf/a.yaml", "model:\n  sizes: [1,\n    2]\n  parts:\n  - {x: 1}\n")
    )
    model = config["model"]
    assert (config.path, config.where()) == ("", "conf/a.yaml")
    assert (model.path, config.where("model")) == ("model", "conf/a.yaml:1")
    assert model["sizes"].path == "model.sizes"
    assert model["sizes"].where(1) == "conf/a.yaml:3"
    assert model["parts"][0].path == "model.parts.0"
    assert model["parts"][0].where("x") == "conf/a.yaml:5"
    assert model.where("absent") == model.where()


def test_places_outside_the_working_directory_are_absolute(write, tmp_path, monkeypatch):
    write("a.yaml", "x: 1\n")
    write("elsewhere/b.yaml", "")
    monkeypatch.chdir("elsewhere")
    assert load_config(tmp_path / "a.yaml").where("x") == f"{tmp_path / 'a.yaml'}:1"


def test_copies_and_pickles_keep_places(write):
    config = load_config(write("a.yaml", "x: {y: 1}\n"))
    for twin in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert twin == config
        assert twin["x"].where("y") == "a.yaml:1"


# --- files that cannot be read ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("", ["a.yaml: ", "a mapping", "an empty file"]),
        ("# only a comment\n", ["a.yaml: ", "an empty file"]),
        ("- 1\n", ["a.yaml: ", "a mapping", "[1] (list)", "top level"]),
        ("just words\n", ["a.yaml", "'just words' (str)"]),
    ],
)
def test_what_is_not_a_mapping_is_refused(write, text, fragments):
    write("a.yaml", text)
    fails(lambda: load_config("a.yaml"), *fragments)


def test_files_that_are_not_text_are_refused(write, tmp_path):
    write("here.yaml", "a: 1\n")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    fails(lambda: load_config("latin.yaml"), "latin.yaml:2: ", "UTF-8")
    fails(lambda: load_config("absent.yaml"), "absent.yaml: ", "No such file")
    fails(lambda: load_config(tmp_path), "a YAML file", "a folder")


# --- _base_ ----------------------------------------------------------------------------------


def test_bases_merge_mappings_and_replace_lists(write):
    write("base/a.yaml", "model:\n  depth: 18\n  sizes: [1, 2, 3]\n  wide: false\nkeep: 1\n")
    write("b.yaml", "_base_: base/a.yaml\nmodel:\n  depth: 50\n  sizes: [9]\n")
    config = load_config("b.yaml")
    assert config == {"model": {"depth": 50, "sizes": [9], "wide": False}, "keep": 1}
    assert config["model"].where("depth") == "b.yaml:3"
    assert config["model"].where("wide") == "base/a.yaml:4"
    assert config.where("keep") == "base/a.yaml:5"


def test_delete_drops_what_was_inherited(write):
    write("a.yaml", "model: {type: a, depth: 18}\nhooks: {log: {every: 1}}\n")
    write("b.yaml", "_base_: a.yaml\nmodel: {_delete_: true, type: b}\nhooks: {_delete_: false}\n")
    assert load_config("b.yaml") == {"model": {"type": "b"}, "hooks": {"log": {"every": 1}}}


def test_delete_acts_in_its_own_file_only(write):
    write("a.yaml", "x: {p: 1}\n")
    write("b.yaml", "x: {_delete_: true, q: 2}\n")
    write("c.yaml", "_base_: [a.yaml, b.yaml]\n")
    assert load_config("c.yaml") == {"x": {"p": 1, "q": 2}}


def test_two_bases_may_share_a_mapping_but_no_value(write):
    write("a.yaml", "train:\n  lr: 1\n")
    write("b.yaml", "train:\n  epochs: 2\n")
    write("ok.yaml", "_base_: [a.yaml, b.yaml]\n")
    assert load_config("ok.yaml") == {"train": {"lr": 1, "epochs": 2}}
    write("c.yaml", "train:\n\n  lr: 1\n")
    write("bad.yaml", "_base_:\n- a.yaml\n- c.yaml\n")
    fails(lambda: load_config("bad.yaml"), "c.yaml:3: train.lr: ", "one base", "a.yaml:2")


def test_two_bases_may_inherit_from_one(write):
    write("root.yaml", "x: {y: 1, sizes: [1]}\n")
    write("a.yaml", "_base_: root.yaml\nx: {a: 1}\n")
    write("b.yaml", "_base_: root.yaml\nx: {b: 1}\n")
    config = load_config(write("c.yaml", "_base_: [a.yaml, b.yaml]\n"))
    assert config == {"x": {"y": 1, "sizes": [1], "a": 1, "b": 1}}


def test_bad_bases_are_refused(write):
    write("faster.yaml", "x: 1\n")
    write("a.yaml", "x: 1\n_base_: fastr.yaml\n")
    fails(lambda: load_config("a.yaml"), "a.yaml:2: _base_: ", "no such file", "'faster.yaml'")
    write("b.yaml", "_base_: {x: 1}\n")
    fails(lambda: load_config("b.yaml"), "b.yaml:1: _base_: ", "a list of paths", "keys x")
    write("c.yaml", "_base_: d.yaml\n")
    write("d.yaml", "_base_: c.yaml\n")
    fails(lambda: load_config("c.yaml"), "d.yaml:1: _base_", "c.yaml -> d.yaml -> c.yaml")


# --- overrides -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("a.b=5", {"a": {"b": 5, "l": [1, {"x": 2}]}}),
        ("a.b=1e-4", {"a": {"b": 1e-4, "l": [1, {"x": 2}]}}),
        ("a.l.0=x=y", {"a": {"b": 1, "l": ["x=y", {"x": 2}]}}),
        ("a.l.1.x=[3, 4]", {"a": {"b": 1, "l": [1, {"x": [3, 4]}]}}),
        ("a={c: {d: null}}", {"a": {"c": {"d": None}}}),
        ("a.new.deep=", {"a": {"b": 1, "l": [1, {"x": 2}], "new": {"deep": None}}}),
    ],
)
def test_overrides_set_values(write, override, value):
    write("a.yaml", "a: {b: 1, l: [1, {x: 2}]}\n")
    config = load_config("a.yaml", [override])
    assert config == value
    path = override.partition("=")[0].split(".")
    node = config
    for key in path[:-1]:
        node = node[int(key) if key.isdecimal() else key]
    last = int(path[-1]) if path[-1].isdecimal() else path[-1]
    assert node.where(last) == f"--set {override}"


def test_made_sections_name_the_override(write):
    config = load_config(write("a.yaml", "a: 1\nempty:\n"), ["optimzer.lr=1", "empty.x=2"])
    assert config["empty"] == {"x": 2}
    fails(
        lambda: check_keys(config, ["a", "empty", "optimizer"]),
        "--set optimzer.lr=1: optimzer: ",
        "did you mean 'optimizer'?",
    )


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("a.b", ["--set a.b: ", "KEY.KEY=VALUE"]),
        ("=1", ["--set =1: ", "KEY.KEY=VALUE"]),
        ("a..b=1", ["--set a..b=1: ", "KEY.KEY=VALUE"]),
        ("a.l.2=1", ["an index below 2", "a.l", "a.yaml:1", "found '2'"]),
        ("a.l.-1=1", ["an index", "found '-1'"]),
        ("a.l.x=1", ["an index", "found 'x'"]),
        ("a.b.c=1", ["--set a.b.c=1: ", "'c'", "found 1 (int)"]),
        ("a=[1", ["--set a=[1: ", "malformed YAML"]),
        ("_base_=b.yaml", ["--set _base_=b.yaml: ", "_delete_", "config file"]),
        ("a=!!python/none x", ["--set a=!!python/none x: ", "tag !!python/none"]),
    ],
)
def test_bad_overrides_are_refused(write, override, fragments):
    write("a.yaml", "a: {b: 1, l: [1, 2]}\n")
    fails(lambda: load_config("a.yaml", [override]), *fragments)


# --- checks ----------------------------------------------------------------------------------


def test_unknown_keys_name_the_accepted_ones(write):
    config = load_config(write("a.yaml", "train:\n  epochs: 1\n  learning_rat: 2\n"))
    check_keys(config, ["train"])
    fails(
        lambda: check_keys(config["train"], ["epochs", "learning_rate"]),
        "a.yaml:3: train.learning_rat: ",
        "unknown key",
        "did you mean 'learning_rate'?",
        "accepted: epochs, learning_rate",
    )


def test_require_checks_presence_and_kind(write):
    config = load_config(write("a.yaml", "model:\n  depth: true\n"))
    assert require(config, "model", dict) == {"depth": True}
    fails(lambda: require(config, "modle"), "a.yaml: ", "'modle' is missing", "'model'?")
    fails(
        lambda: require(config["model"], "depth", int),
        "a.yaml:2: model.depth: ",
        "expected int",
        "True (bool)",
    )


# --- leaves and dump -------------------------------------------------------------------------


def test_leaves_split_lists_only_where_places_differ(write):
    write("a.yaml", "s: [1, 2]\nm:\n  t: [3, 4]\n  p: [{x: 1}]\n  e: {}\n")
    assert list(leaves(load_config("a.yaml", ["m.t.1=5"]))) == [
        ("s", [1, 2], "a.yaml:1"),
        ("m.t.0", 3, "a.yaml:3"),
        ("m.t.1", 5, "--set m.t.1=5"),
        ("m.p.0.x", 1, "a.yaml:4"),
        ("m.e", {}, "a.yaml:5"),
    ]


def test_dump_loads_again_from_another_folder(write, monkeypatch):
    monkeypatch.setenv("DETKIT_ODD", "a ${b} c")
    write("a.yaml", "z: {lr: 1e-5, big: 1e+20, names: [no, 'null', '1e-3']}\n")
    write("b.yaml", "_base_: a.yaml\na: ${DETKIT_ODD}\nz: {lr: 2e-5}\nplugins: [p.py, pkg.mod]\n")
    config = load_config("b.yaml")
    again = load_config(write("runs/one/config.yaml", dump_config(config)))
    assert again == config
    assert list(again) == ["z", "a", "plugins"]
    write("runs/two/config.yaml", dump_config(config, ["plugins/p.py"]))
    plugins = load_config("runs/two/config.yaml")["plugins"]
    assert plugins == ["plugins/p.py", "pkg.mod"]


def test_dump_keeps_lists_of_scalars_on_one_line(write):
    assert dump_config(load_config(write("a.yaml", "a:\n- 1\n- 2\n"))) == "a: [1, 2]\n"


# --- project root ----------------------------------------------------------------------------


def test_project_root_is_the_nearest_folder_with_plugins(write, tmp_path):
    write("project/plugins/p.py", "")
    write("project/configs/deep/a.yaml", "x: 1\n")
    assert load_config("project/configs/deep/a.yaml").project_root == str(tmp_path / "project")
