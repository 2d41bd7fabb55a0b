"""Test-time augmentation by the tools: test and demo."""

import json

import cv2
import pytest

import detkit
from detkit.build import build_loader, build_tta, open_config
from detkit.errors import ConfigError
from detkit.tta import TTA, TTADetector
from support import tiny
from support.exports import export_tiny, photos
from support.projects import RPN

VIEWS = "tta={short: [64, 80], long: 100, flips: [horizontal], voting: {iou: 0.5}}"


@pytest.fixture
def words(finished):
    """The arguments CONFIG and CHECKPOINT of a finished run, all of whose boxes are detections."""
    return finished / "configs/tiny.yaml", finished / "work/checkpoints/best"


FLOOR = "model.postprocess.score_floor=0"


def detector_of(config, checkpoint):
    """The Detector of a checkpoint with the section tta of a config."""
    return TTADetector(detkit.load(config, str(checkpoint)), build_tta(config))


def saved(path):
    return json.loads(path.read_text())


def test_one_upright_view_has_the_results_of_the_plain_detector(words, tmp_path):
    found = []
    for name, options in (("plain", ()), ("tta", ("--tta",))):
        out, folder = tmp_path / f"{name}.json", tmp_path / name
        settings = ("--set", FLOOR, "tta={flips: []}")
        arguments = (*words, *options, "--out", out, "--work-dir", folder, *settings)
        assert tiny.tool("test", *arguments) == 0
        found.append(saved(out))
    assert found[0] == found[1] and len(found[0]) > 3
    assert saved(tmp_path / "plain/result.json") == saved(tmp_path / "tta/result_tta.json")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_test_finds_what_detect_finds(words, tmp_path, batch_size, capsys):
    out = tmp_path / "found.json"
    how = ("--batch-size", batch_size, "--out", out, "--work-dir", tmp_path)
    assert tiny.tool("test", *words, "--tta", *how, "--set", FLOOR, VIEWS) == 0
    assert f"written: {tmp_path}/result_tta.json" in capsys.readouterr().out
    config = open_config(words[0], [FLOOR, VIEWS])
    detector = detector_of(config, words[1])
    dataset = tiny.validation_set(words[0])
    scores = []
    for index in range(len(dataset)):
        scores += detector.detect(dataset.image(index)).scores.tolist()
    assert sorted(entry["score"] for entry in saved(out)) == pytest.approx(sorted(scores), abs=1e-5)


def test_without_a_section_the_views_are_upright_and_mirrored(words):
    config = open_config(words[0], [FLOOR])
    plain = detkit.load(config, str(words[1]))
    (image,) = photos((64, 64))
    expected = TTADetector(plain, TTA(flips=["horizontal"])).detect(image)
    found = detector_of(config, words[1]).detect(image)
    assert found.scores.tolist() == expected.scores.tolist()


def test_demo_draws_what_the_views_find(words, tmp_path, capsys):
    (image,) = photos((64, 64))
    cv2.imwrite(str(tmp_path / "a.png"), image)
    arguments = (tmp_path / "a.png", "--out", tmp_path / "drawn", "--score", 0)
    assert tiny.tool("demo", *words, *arguments, "--tta", "--set", FLOOR, VIEWS) == 0
    printed = capsys.readouterr().out
    config = open_config(words[0], [FLOOR, VIEWS])
    found = detector_of(config, words[1]).detect(image[:, :, ::-1])
    shown = [f"{found.class_names[k]} {score:.2f}" for k, score in zip(found.labels, found.scores)]
    assert ", ".join(shown) in printed and len(shown) > 3


def test_an_export_is_refused(words, finished, tmp_path, capsys):
    assert export_tiny(finished, tmp_path / "exported") == 0
    message = tiny.refused(capsys, "test", words[0], tmp_path / "exported", "--tta")
    tiny.assert_says(message, f"{tmp_path}/exported: ", "a checkpoint", "--tta", "an export")


def test_an_rpn_is_refused(tmp_path, capsys):
    config = tiny.project(tmp_path)
    assert tiny.train(config, tmp_path / "rpn", *RPN, "train.epochs=1") == 0
    words = (tmp_path / "rpn/config.yaml", tmp_path / "rpn/checkpoints/best", "--tta")
    tiny.assert_says(tiny.refused(capsys, "test", *words), "tta: ", "postprocess", "found RPN")


def test_a_wrong_section_is_refused_only_with_tta(words, tmp_path, capsys):
    wrong = ("--work-dir", tmp_path, "--set", "tta={short: 64}")
    assert tiny.tool("test", *words, *wrong) == 0
    message = tiny.refused(capsys, "test", *words, "--tta", *wrong)
    tiny.assert_says(message, "--set tta={short: 64}: tta: long: ", "no Resize")


def test_a_loader_of_images_as_on_disk(words):
    config = open_config(words[0], ["data.val_transforms=[{type: Resize, short: 96, long: 96}]"])
    dataset = tiny.validation_set(words[0])
    for as_on_disk, side in ((True, 64), (False, 96)):
        (batch, *_) = build_loader(config, "val", dataset, 2, as_on_disk=as_on_disk).batches(0)
        assert batch.sizes.tolist() == [[side, side]] * 2
    with pytest.raises(ConfigError, match="HorizontalFlip"):
        wrong = open_config(words[0], ["data.val_transforms=[{type: HorizontalFlip}]"])
        build_loader(wrong, "val", dataset, 2, as_on_disk=True)
