"""``detkit train --from WEIGHTS --data FOLDER --time T``: the config, and the messages."""

import argparse

import pytest

from detkit import converters
from detkit.build import build_dataset, open_config
from detkit.commands.arguments import train
from detkit.commands.fine_tune import config_of
from detkit.converters import from_torchvision
from detkit.converters.torchvision import MODELS
from detkit.errors import DataError
from detkit.weights import PUBLISHED
from support import backbones, tiny
from support.layouts import make
from support.torchvision_models import SMALL, shapes_of


def parsed(*words):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(list(map(str, words)))


def config(folder, *words):
    """The config that ``detkit train`` would train in a folder."""
    return open_config(*config_of(parsed(*words), str(folder)))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The empty folder of downloaded weights."""
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/weights"


def test_a_run_goes_on_with_other_data_and_a_time(reference, tmp_path):
    photos = make(tmp_path / "photos", "yolo")
    words = ("--from", reference, "--data", photos, "--time", "5m", "--set", "train.lr=0.5")
    found = config(tmp_path / "work", *words)
    assert found["model"]["backbone"]["type"] == "TinyBackbone"
    assert found["train"]["start_from"].startswith(str(reference / "checkpoints"))
    assert (found["train"]["time"], found["train"]["epochs"]) == ("5m", None)
    assert found["train"]["lr"] == 0.5
    assert build_dataset(found, "train").class_names == ("cat", "dog")
    assert (tmp_path / "work/data/config.yaml").is_file()


def test_the_learning_rate_is_that_of_the_network_for_an_image(reference, tmp_path):
    photos = make(tmp_path / "photos", "yolo")
    found = config(tmp_path / "work", "--from", reference, "--data", photos)
    assert found["train"]["batch_size"] == 1
    assert found["train"]["lr"] == pytest.approx(0.01 / 4, rel=1e-2)


def test_data_without_a_network_is_that_of_init_and_is_written_once(tmp_path, capsys):
    photos = make(tmp_path / "photos", "csv")
    words = ("--data", photos, "--set", "model.backbone.pretrained=null")
    found = config(tmp_path / "work", *words)
    assert found["model"]["backbone"]["type"] == "MobileNetV2"
    (tmp_path / "photos/boxes.csv").unlink()
    assert config(tmp_path / "work", *words)["data"] == found["data"]
    assert "config.yaml is there and used as it is" in capsys.readouterr().out


@pytest.mark.slow
def test_weights_of_torchvision_bring_their_network(tmp_path, cache, monkeypatch):
    asked = []
    shapes = shapes_of(SMALL, 4)
    state = {name: backbones.filling(name, shape) for name, shape in shapes.items()}

    def convert(name, file, **options):
        asked.append((name, str(file)))
        return from_torchvision(name, state, **options)

    monkeypatch.setattr(converters, "from_torchvision", convert)
    photos, file = make(tmp_path / "photos", "voc"), tmp_path / PUBLISHED[SMALL].file
    file.touch()
    found = config(tmp_path / "work", "--from", file, "--data", photos)
    assert asked == [(SMALL, str(file))]
    assert found["train"]["start_from"].startswith(str(tmp_path / "work/start" / SMALL))
    assert found["data"]["train"]["type"] == "COCO"
    assert build_dataset(found, "val").class_names == ("cat", "dog")
    config(tmp_path / "work", "--from", file, "--data", photos)
    assert len(asked) == 1  # it is converted once


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (
            "fasterrcnn_resnet50_fpn",
            [
                "258fb6c6.pth in ",
                "cache/weights",
                "https://download.pytorch.org",
                "--out work_dirs/",
            ],
        ),
        ("fasterrcnn_resnet_fpn", ["did you mean 'fasterrcnn_resnet50_fpn'", *MODELS]),
        ("vgg16", ["a classifier", "model.backbone.pretrained=vgg16"]),
        ("mine.pth", ["found other weights", "detkit convert-weights FRAMEWORK MODEL"]),
        ("empty", ["or the folder of a run", "an empty folder"]),
    ],
)
def test_weights_that_are_not_there_say_how_to_get_them(
    tmp_path, cache, monkeypatch, capsys, start, says
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pth").touch()
    (tmp_path / "empty").mkdir()
    message = tiny.refused(capsys, "train", "--from", start, "--dry-run")
    tiny.assert_says(message, *says)
    assert not (tmp_path / "work_dirs").exists()


def test_data_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos = make(tmp_path / "photos", "csv")
    with pytest.raises(DataError, match=r"expected a folder.*did you mean 'photos'"):
        config_of(parsed("--data", "photo"), "work")
    with pytest.raises(DataError, match="--work-dir: expected a folder outside of"):
        config_of(parsed("--data", photos), str(photos / "work"))
    assert not (photos / "work").exists()


def test_something_must_be_trained():
    assert "CONFIG" in train.wrong(parsed())
    for words in (["c"], ["--from", "r"], ["--data", "d"]):
        assert train.wrong(parsed(*words)) is None
