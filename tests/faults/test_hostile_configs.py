"""Configs that would take for ever, that name other files, and plugins of somebody else."""

import os
import time
from pathlib import Path

import mxnet as mx
import pytest

from detkit import registry
from detkit.build import build_model, open_config
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.plugins import import_folder, import_plugins
from detkit.registry import BACKBONES, FAILED_PLUGINS
from support import tiny
from support.limited import messages

STRANGER = 12345  # a user id
MARKER = "from pathlib import Path\nPath({path!r}).touch()\n"


def refused(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


# --- YAML ---------------------------------------------------------------------------------------


def test_large_yaml_ends_at_once(tmp_path):
    texts = {
        "flow": "a: [" + "1, " * (1 << 20) + "1]\n",
        "values": "a: [" + "1," * 60_000 + "1]\n",
        "scalar": "a: " + "x" * (2 << 20) + "\n",
        "quoted": 'a: "' + "x" * (2 << 20) + '"\n',
        "keys": "".join(f"k{index}: 1\n" for index in range(30_000)),
        "nested": "a: " + "[" * 200_000,
    }
    for name, text in texts.items():
        Path(tmp_path, f"{name}.yaml").write_text(text)
    paths = [tmp_path / f"{name}.yaml" for name in texts]
    for path, answer in zip(paths, messages("detkit.config.load_config", *paths, seconds=60)):
        assert str(path) in answer
        assert "at most" in answer


def test_an_override_has_the_limits_of_a_file(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\n")
    start = time.monotonic()
    message = refused(path, "a=" + "x" * (2 << 20))
    assert "at most 524288 bytes" in message
    assert time.monotonic() - start < 5


def test_a_base_shows_nothing_of_another_file(tmp_path):
    secret, path = tmp_path / "secret", tmp_path / "a.yaml"
    secret.write_text("root-password-0123\n")
    path.write_text(f"_base_: {secret}\n")
    message = refused(path)
    assert message.startswith(f"{path}:1: _base_: ")
    assert ".yaml or .yml" in message
    assert "password" not in message
    os.symlink(secret, tmp_path / "link.yaml")
    path.write_text("_base_: link.yaml\n")
    message = refused(path)
    assert "link.yaml: expected a mapping" in message
    assert "password" not in message


def test_bases_of_bases_do_not_grow_without_end(tmp_path):
    for level in range(30):
        bases = [f"{level + 1}.yaml"] * 2
        Path(tmp_path, f"{level}.yaml").write_text(f"_base_: [{', '.join(bases)}]\n")
    Path(tmp_path, "30.yaml").write_text("a: 1\n")
    assert "at most 100 files" in refused(tmp_path / "0.yaml")
    assert load_config(tmp_path / "26.yaml") == {"a": 1}


def test_half_a_character_is_refused(tmp_path):
    path = tmp_path / "a.yaml"
    for text, where in (('a:\n  b: "x\\ud800"\n', ":2: a.b: "), ('"\\udfff": 1\n', ":1: ")):
        path.write_text(text)
        message = refused(path)
        assert message.startswith(f"{path}{where}")
        assert "surrogates" in message
        message.encode("utf-8")


# --- Values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("model.roi_head.hidden=[1600000, 1600000]", ["model.roi_head: ", str(1600000**2)]),
        ("model.rpn_head.channels=200000000", ["model.rpn_head: ", "200000000"]),
        ("model.rpn_head.channels=1" + 30 * "0", ["model.rpn_head: ", 30 * "0"]),
    ],
)
def test_a_value_that_asks_for_too_much_is_named(tmp_path, override, fragments):
    config = open_config(tiny.project(tmp_path), [override])
    with pytest.raises(ConfigError) as caught:
        build_model(config, ["cat"], mx.cpu())
    tiny.assert_says(str(caught.value), "configs/tiny.yaml:", *fragments)


# --- Plugins ------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_trace():
    """Restores the record of failed plugins."""
    known = list(FAILED_PLUGINS)
    yield
    FAILED_PLUGINS[:] = known


def plugin(folder, marker):
    """Writes plugins/one.py below a folder; it makes the file ``marker``."""
    path = Path(folder, "plugins/one.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MARKER.format(path=str(marker)))
    return path


def config_at(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x: 1\n")
    return load_config(path)


@pytest.mark.parametrize("place", ["a.yaml", "configs/a.yaml", "configs/deep/er/a.yaml"])
def test_the_projects_own_plugins_are_imported(tmp_path, place):
    path = plugin(tmp_path, tmp_path / "ran")
    report = import_plugins(config_at(tmp_path / place))
    assert report.files == [str(path)]
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("place", ["mine/a.yaml", "mine/deep/a.yaml", "work_dirs/x/config.yaml"])
def test_the_plugins_of_a_shared_folder_above_are_not(tmp_path, place):
    path = plugin(tmp_path, tmp_path / "ran")
    config = config_at(tmp_path / place)
    assert import_plugins(config).files == []
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ConfigError) as caught:
        BACKBONES.build({"type": "NotThereAtAll"})
    tiny.assert_says(str(caught.value), f"plugins: ['{path}']")


def test_a_project_within_a_shared_folder_has_its_own(tmp_path):
    plugin(tmp_path, tmp_path / "ran")
    own = plugin(tmp_path / "mine", tmp_path / "own")
    assert import_plugins(config_at(tmp_path / "mine/configs/a.yaml")).files == [str(own)]
    assert not (tmp_path / "ran").exists()


def test_listed_plugins_of_anybody_are_imported(tmp_path):
    path = plugin(tmp_path, tmp_path / "ran")
    os.chmod(path.parent, 0o777)
    config = config_at(tmp_path / "configs/a.yaml")
    assert import_plugins(config).files == []
    Path(config.file).write_text(f"plugins: [{path}]\n")
    assert import_plugins(load_config(config.file)).files == [str(path)]


def test_a_dangling_link_is_a_failure_of_its_own(tmp_path):
    path = plugin(tmp_path, tmp_path / "ran")
    os.symlink(tmp_path / "absent.py", path.parent / "gone.py")
    report = import_folder(str(path.parent))
    assert report.files == [str(path)]
    assert [failure.path for failure in report.failures] == [str(tmp_path / "absent.py")]


@pytest.mark.parametrize("what", ["folder", "file"])
@pytest.mark.parametrize("fault", ["owner", "mode"])
def test_plugins_that_others_could_have_written_are_not_imported(tmp_path, what, fault):
    path = plugin(tmp_path, tmp_path / "ran")
    plugin_or_folder = path.parent if what == "folder" else path
    if fault == "mode":
        os.chmod(plugin_or_folder, 0o777)
    elif os.geteuid():
        pytest.skip("only root can give a file to another user")
    else:
        os.chown(plugin_or_folder, STRANGER, -1)
    (failure,) = import_folder(str(path.parent)).failures
    assert not (tmp_path / "ran").exists()
    found = "drwxrwxrwx" if what == "folder" else "-rwxrwxrwx"
    says = str(STRANGER) if fault == "owner" else found
    tiny.assert_says(str(failure), str(plugin_or_folder), says, f"plugins: ['{path}']")
    assert failure in registry.FAILED_PLUGINS
