"""The plugins of installed packages: found, imported, listed, and what becomes of broken ones."""

import sys

import pytest

from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.plugins import FAILED_PLUGINS, find_installed, import_installed, import_plugins
from detkit.registry import BACKBONES
from support import tiny

PART = 'from detkit.registry import BACKBONES\n@BACKBONES.register("{0}")\ndef {0}():\n    pass\n'


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A function: installs a package with a module and its entry points in a folder on the path."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def install(package, module, text, points, folder=folder):
        (folder / f"{module}.py").write_text(text)
        info = folder / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[detkit.plugins]\n{points}\n")

    known = list(FAILED_PLUGINS)
    with BACKBONES.temporarily():
        yield install
    FAILED_PLUGINS[:] = known


def test_installed_plugins_are_imported_in_the_order_of_their_names(site):
    site("zlab", "z_parts", PART.format("z_net"), "first = z_parts\n")
    site("alab", "a_parts", PART.format("a_net"), "second = a_parts:anything\n")
    assert [tuple(plugin) for plugin in find_installed()[0]] == [
        ("first", "z_parts", "zlab 1.2"),
        ("second", "a_parts", "alab 1.2"),
    ]
    assert import_installed() == ([], ["z_parts", "a_parts"], [])
    assert {"a_net", "z_net"} <= set(BACKBONES.names())


def test_they_are_imported_with_the_plugins_of_a_project_and_before_them(site, tmp_path):
    site("alab", "a_parts", PART.format("a_net"), "lab = a_parts")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/own.py").write_text("import sys\nassert 'a_parts' in sys.modules\n")
    (tmp_path / "a.yaml").write_text("plugins: [json.tool]\n")
    report = import_plugins(load_config(tmp_path / "a.yaml"))
    assert report == ([str(tmp_path / "plugins/own.py")], ["a_parts", "json.tool"], [])


def test_a_failing_one_stops_only_who_needs_it(site):
    site("bad", "bad_parts", "1 / 0\n", "lab = bad_parts")
    site("good", "good_parts", PART.format("good_net"), "lab = good_parts")
    for _ in range(2):
        report = import_installed()
        assert report.modules == ["good_parts"]
        (failure,) = report.failures
        where = "bad_parts (entry point 'lab' of bad 1.2)"
        assert str(failure) == f"{where}: ZeroDivisionError: division by zero"
    with pytest.raises(ConfigError) as caught:
        BACKBONES.get("bad_net")
    tiny.assert_says(str(caught.value), f"    {failure}\n", 'bad_parts.py", line 1')
    assert str(caught.value).count(where) == 1


def test_entry_points_that_cannot_be_read_are_named(site, tmp_path):
    site("odd", "odd_parts", "", "no key and no value")
    site("good", "good_parts", PART.format("good_net"), "lab = good_parts")
    report = import_installed()
    assert report.modules == ["good_parts"]
    if report.failures:  # a later Python ignores such a line
        assert "odd-1.2.dist-info" in str(report.failures[0])


def test_the_first_of_two_packages_of_a_name_counts(site, tmp_path, monkeypatch):
    site("lab", "new_parts", "", "lab = new_parts")
    older = tmp_path / "older"
    older.mkdir()
    sys.path.append(str(older))
    site("lab", "old_parts", "", "lab = old_parts", folder=older)
    assert import_installed().modules == ["new_parts"]


def test_other_packages_are_not_read(site, tmp_path):
    site("other", "other_parts", "", "")
    points = tmp_path / "site-packages/other-1.2.dist-info/entry_points.txt"
    points.write_text("[console_scripts\nnonsense")
    assert find_installed() == ([], {})


@pytest.mark.parametrize("tool", [("list", "evaluator"), ("doctor",)])
def test_the_tools_show_them(site, tmp_path, monkeypatch, capsys, tool):
    monkeypatch.chdir(tmp_path)
    site("alab", "a_parts", "", "lab = a_parts")
    site("bad", "bad_parts", "1 / 0\n", "lab = bad_parts")
    assert tiny.tool(*tool) == 0
    shown = capsys.readouterr().out
    tiny.assert_says(shown, " a_parts (entry point 'lab' of alab 1.2)\n", "failed: bad_parts (")
