"""Configs by name: on the command line and as bases, and which of several is meant."""

import pytest

from detkit.config import load_config
from detkit.config.names import is_name, names_of, title
from detkit.config.yaml import dump_yaml
from detkit.errors import ConfigError
from support import tiny

SHIPPED = tiny.ROOT / "configs"
EPOCHS = load_config(SHIPPED / "faster_rcnn_vgg16.yaml")["train"]["epochs"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file below the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_a_shipped_config_is_found_from_anywhere(write, tmp_path):
    config = load_config("coco/mask_rcnn_r50_fpn")
    assert config == load_config(SHIPPED / "coco/mask_rcnn_r50_fpn.yaml")
    assert config.file == str(SHIPPED / "coco/mask_rcnn_r50_fpn.yaml")
    assert config.project_root == str(tmp_path)  # whose plugins it can name
    assert config.foreign_plugins == ()


def test_a_file_then_the_projects_configs_then_the_shipped_ones(write):
    write("configs/faster_rcnn_vgg16.yaml", "seed: 5\n")
    assert load_config("faster_rcnn_vgg16") == {"seed": 5}
    write("faster_rcnn_vgg16", "seed: 6\n")
    assert load_config("faster_rcnn_vgg16") == {"seed": 6}


def test_a_folder_of_that_name_is_not_in_the_way(write, tmp_path):
    (tmp_path / "faster_rcnn_vgg16").mkdir()
    assert load_config("faster_rcnn_vgg16")["train"]["epochs"] == EPOCHS
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match="run: expected a YAML file, found a folder"):
        load_config("run")


def test_a_mistyped_name_gets_the_places_and_the_near_match(write):
    with pytest.raises(ConfigError) as caught:
        load_config("coco/mask_rcnn_r50_fnp")
    tiny.assert_says(
        str(caught.value),
        "'coco/mask_rcnn_r50_fnp'",
        "did you mean 'coco/mask_rcnn_r50_fpn'",
        "configs/coco/mask_rcnn_r50_fnp.yaml",
        str(SHIPPED / "coco/mask_rcnn_r50_fnp.yaml"),
        "detkit configs",
    )


def test_the_path_in_the_checkout_leads_to_the_name(write):
    with pytest.raises(ConfigError, match="no such file.*: faster_rcnn_vgg16$"):
        load_config("configs/faster_rcnn_vgg16.yaml")


@pytest.mark.parametrize("text", ["a.yaml", "a.yml", "/etc/passwd", "../a", "a/../b", ""])
def test_what_is_no_name(text):
    assert not is_name(text)


@pytest.mark.parametrize("text", ["", "/", "..", ".", "a" * 5000, "a/" * 3000, "\0", "a\nb", "*"])
def test_an_odd_name_is_refused_by_a_message(write, text):
    with pytest.raises(ConfigError):
        load_config(text)
    with pytest.raises(ConfigError):
        load_config(write("a.yaml", dump_yaml({"_base_": text})))


# --- _base_ ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["mine.yaml", "deep/mine.yaml", "configs/mine.yaml"])
def test_a_base_can_be_a_shipped_config(write, file):
    config = load_config(write(file, "_base_: faster_rcnn_vgg16\nseed: 7\n"))
    assert (config["seed"], config["train"]["epochs"]) == (7, EPOCHS)


@pytest.mark.parametrize("file", ["mine.yaml", "configs/mine.yaml", "configs/a/b/mine.yaml"])
def test_a_base_can_be_a_config_of_the_project(write, file):
    write("configs/own/start.yaml", "seed: 8\n")
    assert load_config(write(file, "_base_: own/start\n")) == {"seed": 8}


def test_a_config_extends_the_shipped_one_of_its_own_name(write):
    write("configs/faster_rcnn_vgg16.yaml", "_base_: faster_rcnn_vgg16\nseed: 9\n")
    config = load_config("faster_rcnn_vgg16")
    assert (config["seed"], config["train"]["epochs"]) == (9, EPOCHS)


def test_several_bases_by_name_and_by_path(write):
    write("speed.yaml", "extra: 1\n")
    config = load_config(write("mine.yaml", "_base_: [faster_rcnn_vgg16, speed.yaml]\n"))
    assert (config["extra"], config["train"]["epochs"]) == (1, EPOCHS)


def test_a_base_that_there_is_not(write):
    write("configs/mine.yaml", "seed: 1\n_base_: faster_rcnn_vgg61\n")
    with pytest.raises(ConfigError) as caught:
        load_config("mine")
    tiny.assert_says(
        str(caught.value),
        "configs/mine.yaml:2: _base_: 'faster_rcnn_vgg61'",
        "did you mean 'faster_rcnn_vgg16'",
        "configs/faster_rcnn_vgg61.yaml",
        str(SHIPPED / "faster_rcnn_vgg61.yaml"),
    )


def test_configs_that_name_each_other_end(write):
    write("configs/a.yaml", "_base_: b\n")
    write("configs/b.yaml", "_base_: a\n")
    with pytest.raises(ConfigError, match=r"configs/b.yaml:1: _base_: 'a': expected"):
        load_config("a")


# --- titles and names -----------------------------------------------------------------------------


def test_names_are_paths_without_folder_and_suffix(write, tmp_path):
    write("configs/b/two.yml", "")
    write("configs/one.yaml", "")
    write("configs/README.md", "")
    names = names_of(tmp_path / "configs")
    assert list(names) == ["b/two", "one"]
    assert names["b/two"] == tmp_path / "configs/b/two.yml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One thing. Another.\nseed: 1\n", "One thing"),
        ("# By Ren et al. 2015,\n# on shapes: more\n", "By Ren et al. 2015, on shapes"),
        ("seed: 1\n# Late.\n", ""),
        ("", ""),
    ],
)
def test_a_title_is_the_first_sentence(write, text, expected):
    assert title(write("a.yaml", text)) == expected
