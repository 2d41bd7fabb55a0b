"""The copies of plugins: what is copied, under which names, and what a copy needs."""

import os
from pathlib import Path

import pytest

from detkit.errors import ConfigError
from detkit.plugins import copies_of, write_copies
from detkit.plugins.copies import name_in_folder


@pytest.fixture
def folder(tmp_path):
    """A function: writes files {name: text} below a folder; it returns the folder's path."""

    def write(folder="plugins", **files):
        for name, text in files.items():
            path = Path(tmp_path, folder, name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / folder

    return write


def names(copies):
    """The names of the copies without their digits."""
    return sorted(name_in_folder(path)[1] for path in copies.files)


def test_a_plugin_is_copied_without_those_beside_it(folder):
    plugins = folder(one="x = 1\n", other="x = 2\n")
    copies = copies_of([str(plugins / "one.py")])
    (listed,) = copies.listed
    assert copies.files == {listed: b"x = 1\n"}
    digits, name = name_in_folder(listed)
    assert (len(digits), name, listed) == (12, "one.py", f"plugins/{digits}/one.py")


def test_what_a_plugin_imports_from_beside_it_is_copied(folder):
    text = "from ._a import x\nimport json, c\n\ndef later():\n    from . import b\n"
    plugins = folder(one=text, _a="from ._deep.er import y\n", b="", c="", other="", json="")
    folder("plugins/_deep", er="from .. import d\n", __init="")  # a folder without __init__.py
    folder(d="")
    copies = copies_of([str(plugins / "one.py")])
    found = ["_a.py", "_deep/er.py", "b.py", "c.py", "d.py", "json.py", "one.py"]
    assert names(copies) == found
    assert [name_in_folder(path)[1] for path in copies.listed] == ["one.py"]


def test_a_package_is_copied_whole_and_its_data_is_not(folder):
    package = folder("plugins/lab", nets="", heads="broken(\n")
    (package / "__init__.py").write_text("from .. import beside\n")
    folder("plugins/lab/deep", er="")
    (package / "weights.bin").write_bytes(b"x")
    plugins = folder(beside="", other="")
    copies = copies_of([str(package / "__init__.py")])
    parts = ["lab/__init__.py", "lab/deep/er.py", "lab/heads.py", "lab/nets.py"]
    assert names(copies) == ["beside.py", *parts]
    assert [name_in_folder(path)[1] for path in copies.listed] == ["lab/__init__.py"]
    assert plugins == package.parent


def test_nothing_above_the_plugins_folder_is_copied(folder, tmp_path):
    (tmp_path / "secret.py").write_text("")
    plugins = folder(one="from .. import secret\nfrom ..plugins import two\n", two="")
    assert names(copies_of([str(plugins / "one.py")])) == ["one.py", "two.py"]


def test_the_same_plugins_have_the_same_names_everywhere_and_others_have_others(folder):
    one = folder("here", one="from . import _a\n", _a="")
    first = copies_of([str(one / "one.py")])
    same = folder("there", one="from . import _a\n", _a="", other="")
    assert copies_of([str(same / "one.py")]) == first
    changed = folder("there", _a="x = 1\n")
    assert set(copies_of([str(changed / "one.py")]).files).isdisjoint(first.files)


def test_plugins_of_one_name_are_both_copied(folder):
    paths = [str(folder(place, one=f"x = '{place}'\n") / "one.py") for place in ("a", "b", "c")]
    paths.append(str(folder("d", one="x = 'a'\n") / "one.py"))  # the first one again
    copies = copies_of(paths)
    assert len(copies.listed) == len(set(copies.listed)) == 3
    assert [copies.files[path] for path in copies.listed] == [
        b"x = 'a'\n",
        b"x = 'b'\n",
        b"x = 'c'\n",
    ]


def test_copies_are_written_beside_earlier_ones(folder, tmp_path):
    run = tmp_path / "run"
    first = copies_of([str(folder(one="x = 1\n") / "one.py")])
    write_copies(str(run), first)
    written = run / first.listed[0]
    before = written.stat().st_mtime_ns
    second = copies_of([str(folder(one="x = 2\n") / "one.py")])
    write_copies(str(run), second)
    write_copies(str(run), first)
    assert written.stat().st_mtime_ns == before
    assert (run / second.listed[0]).read_text() == "x = 2\n"
    assert copies_of([str(written)]) == first


def test_a_name_that_no_list_can_hold_is_refused(folder):
    plugins = folder(one="from . import _a\n")
    os.rename(plugins / "one.py", plugins / "o\nne.py")
    with pytest.raises(ConfigError, match="line breaks"):
        copies_of([str(plugins / "o\nne.py")])


def test_a_plugin_that_is_gone_is_named(tmp_path):
    with pytest.raises(ConfigError, match="gone.py: the plugin cannot be copied: No such file"):
        copies_of([str(tmp_path / "gone.py")])


def test_too_many_files_are_refused(folder, monkeypatch):
    monkeypatch.setattr("detkit.plugins.copies.MOST_FILES", 3)
    package = folder("plugins/lab", **{f"n{number}": "" for number in range(4)})
    (package / "__init__.py").write_text("")
    with pytest.raises(ConfigError, match="at most 3 files.*plugins: \\[MODULE\\]"):
        copies_of([str(package / "__init__.py")])


@pytest.mark.parametrize("path", ["plugins/a.py", "plugins/0123456789ag/a.py", "a.py", "/a/b.py"])
def test_other_paths_are_no_copies(path):
    assert name_in_folder(path) is None
