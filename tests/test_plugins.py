"""Finding and importing plugins, and what becomes of those that fail."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest

from detkit import cli, registry
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.plugins import FAILED_PLUGINS, import_plugins
from detkit.registry import BACKBONES

TOOLS = Path(__file__).resolve().parents[1] / "tools"
PLUGIN = '''
from detkit.registry import BACKBONES

@BACKBONES.register("{name}")
def {name}(depth: int = 18):
    """Made of {name}.

    In more words.
    """
    return "{name}", depth
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes plugins/NAME and loads configs/a.yaml of a fresh project.

    ``registered()`` are the backbones that its plugins added.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    known = list(FAILED_PLUGINS)

    def project(config="x: 1\n", **plugins):
        for name, text in plugins.items():
            path = tmp_path / "plugins" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        path = tmp_path / "configs" / "a.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(config)
        return load_config(path)

    before = set(BACKBONES.names())
    project.registered = lambda: sorted(set(BACKBONES.names()) - before)
    with BACKBONES.temporarily():
        yield project
    FAILED_PLUGINS[:] = known


def test_found_plugins_register_parts_once(project, tmp_path):
    config = project(one=PLUGIN.format(name="one"), _two=PLUGIN.format(name="two"))
    for _ in range(2):
        report = import_plugins(config)
        assert report == ([str(tmp_path / "plugins/one.py")], [], [])
    assert project.registered() == ["one"]
    assert BACKBONES.build({"type": "one", "depth": 3}) == ("one", 3)
    assert BACKBONES.entry("one").where == "plugins/one.py:4"


def test_plugins_of_the_same_name_in_two_projects_are_two_modules(project, tmp_path):
    import_plugins(project(one=PLUGIN.format(name="one")))
    other = tmp_path / "other"
    (other / "plugins").mkdir(parents=True)
    (other / "plugins/one.py").write_text(PLUGIN.format(name="two"))
    (other / "a.yaml").write_text("x: 1\n")
    import_plugins(load_config(other / "a.yaml"))
    assert project.registered() == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("\nimport not_there_at_all\n", 2, "No module named 'not_there_at_all'"),
        ("x = 1\ndef broken(:\n", 2, "SyntaxError: invalid syntax"),
        ("def f():\n    return 1 / 0\n\nf()\n", 2, "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)\n", 1, "SystemExit: 3"),
        ("raise ValueError('first\\nsecond')\n", 1, "ValueError: first"),
        ("import json\njson.loads('[')\n", 2, "JSONDecodeError: "),
    ],
)
def test_a_failing_plugin_stops_only_who_needs_it(project, text, line, reason):
    config = project(bad=text, good=PLUGIN.format(name="good"))
    report = import_plugins(config)
    assert [Path(file).name for file in report.files] == ["good.py"]
    (failure,) = report.failures
    assert failure.line == line
    assert str(failure).startswith(f"plugins/bad.py:{line}: ")
    assert reason in failure.reason
    assert "\n" not in failure.reason
    assert "importlib" not in failure.traceback.splitlines()[1]
    assert BACKBONES.build({"type": "good"}) == ("good", 18)
    with pytest.raises(ConfigError) as caught:
        BACKBONES.build({"type": "bad"})
    shown = str(caught.value)
    assert f"plugins/bad.py:{line}: {failure.reason}" in shown
    assert failure.traceback.splitlines()[-1] in shown


def test_a_failed_plugin_is_not_run_again(project):
    config = project(bad=PLUGIN.format(name="half") + "\n1 / 0\n")
    first, second = import_plugins(config), import_plugins(config)
    assert first.failures == second.failures
    assert FAILED_PLUGINS.count(first.failures[0]) == 1
    assert registry.FAILED_PLUGINS is FAILED_PLUGINS


def test_listed_files_and_modules_are_imported(project, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/near.py").write_text(PLUGIN.format(name="near"))
    (tmp_path / "extra.py").write_text(PLUGIN.format(name="extra"))
    config = project("plugins: [near.py, extra.py, plugins/one.py, json.tool]\n", one="")
    report = import_plugins(config)
    names = [Path(file).name for file in report.files]
    assert names == ["one.py", "near.py", "extra.py"]
    assert report.modules == ["json.tool"]
    assert project.registered() == ["extra", "near"]


def test_a_file_is_listed_relative_to_the_config_that_lists_it(project, tmp_path):
    far = tmp_path / "far"
    far.mkdir()
    (far / "near.py").write_text(PLUGIN.format(name="near"))
    (far / "base.yaml").write_text("plugins: [near.py]\n")
    report = import_plugins(project("_base_: ../far/base.yaml\n"))
    assert report.files == [str(far / "near.py")]


def test_a_plugin_imports_the_file_beside_it(project):
    text = "from ._helper import part\nfrom . import _helper\nassert _helper.part is part\n"
    report = import_plugins(project(user=text, _helper=PLUGIN.format(name="part")))
    assert [Path(file).name for file in report.files] == ["user.py"]
    assert report.failures == []
    assert project.registered() == ["part"]


def test_a_plugin_that_imports_it_in_another_way_is_told_how(project):
    report = import_plugins(project(user="import _helper\n", _helper=""))
    (failure,) = report.failures
    assert str(failure).startswith("plugins/user.py:1: ModuleNotFoundError: ")
    assert failure.reason.endswith("write `from . import _helper`")


def test_a_package_is_listed_by_its_folder(project, tmp_path):
    package = tmp_path / "plugins/lab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .nets import deep\n")
    (package / "nets.py").write_text(PLUGIN.format(name="deep"))
    for entry in ("plugins/lab", "plugins/lab/", "plugins/lab/__init__.py"):
        report = import_plugins(project(f"plugins: [{entry}]\n"))
        assert report.files == [str(package / "__init__.py")]
    assert project.registered() == ["deep"]


def test_a_copy_of_a_plugin_defines_its_parts_again_and_another_version_does_not(project, tmp_path):
    import_plugins(project(one=PLUGIN.format(name="one")))
    for name, text in (("same", ""), ("other", "# changed\n")):
        copy = tmp_path / name / "one.py"
        copy.parent.mkdir()
        copy.write_text(PLUGIN.format(name="one") + text)
    import_plugins(project(f"plugins: [{tmp_path}/same/one.py]\n"))
    assert BACKBONES.entry("one").where == "same/one.py:4"
    with pytest.raises(ConfigError) as caught:
        import_plugins(project(f"plugins: [{tmp_path}/other/one.py]\n"))
    for fragment in ("other/one.py:4: expected a new name", "registered at same/one.py:4"):
        assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("listed", "fragments"),
    [
        ("[absent.py]", ["a.yaml:1: plugins.0: ", "configs/absent.py or absent.py"]),
        ("[json, no.such.module]", ["plugins.1: ", "'no.such.module'", "ModuleNotFoundError"]),
        ("[plugins/bad.py]", ["plugins/bad.py:1: ZeroDivisionError", "Traceback", "1 / 0"]),
        ("one.py", ["a.yaml:1: plugins: ", "a list of str", "'one.py' (str)"]),
    ],
)
def test_a_listed_plugin_must_import(project, listed, fragments):
    config = project(f"plugins: {listed}\n", bad="1 / 0\n")
    with pytest.raises(ConfigError) as caught:
        import_plugins(config)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_run_that_lists_a_plugin_which_is_in_the_package_now(project, tmp_path):
    """Every run of earlier versions lists plugins/mobilenet_v2.py by its absolute path."""
    gone = tmp_path / "elsewhere/mobilenet_v2.py"
    config = project(f"plugins: [{gone}]\n", one="x = 1\n")
    assert import_plugins(config).files == [str(Path("plugins/one.py").resolve())]
    gone.parent.mkdir()
    gone.write_text("x = 1\n")  # somebody's own file of this name
    assert str(gone) in import_plugins(config).files


# --- tools/list.py ---------------------------------------------------------------------------


@pytest.fixture
def list_main(monkeypatch):
    """The tool's main, without detkit's own parts."""
    monkeypatch.setitem(sys.modules, "detkit.parts", types.ModuleType("detkit.parts"))
    spec = importlib.util.spec_from_file_location("tool_list", TOOLS / "list.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "detkit.commands.list", raising=False)
    yield module.main
    sys.modules.pop("detkit.commands.list", None)  # one without the parts


def test_list_shows_signatures_docstrings_and_plugins(project, list_main, capsys):
    project(one=PLUGIN.format(name="one"), bad="1 / 0\n")
    assert cli.run(list_main, ["backbone"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "backbone"
    assert lines[-5:] == [
        "  one(depth: int = 18)",
        "      Made of one.",
        "plugins",
        "  plugins/one.py",
        "  failed: plugins/bad.py:1: ZeroDivisionError: division by zero",
    ]


def test_list_shows_every_kind_or_refuses_an_unknown_one(project, list_main, capsys):
    project()
    assert cli.run(list_main, []) == 0
    assert set(registry.REGISTRIES) <= set(capsys.readouterr().out.splitlines())
    assert cli.run(list_main, ["backbones"]) == 1
    shown = capsys.readouterr().err
    assert "'backbones'" in shown
    assert "did you mean 'backbone'?" in shown
