"""``detkit test --threshold``: the score that is chosen on val is the default of what detects."""

import json
import shutil

import cv2
import numpy as np
import pytest

import detkit
from detkit.checkpoints import write_threshold
from detkit.commands.test import lost_classes
from detkit.threshold import Threshold
from support import tiny
from support.exports import assert_same


@pytest.fixture
def copy(reference, tmp_path):
    """A run that a test may write into."""
    return shutil.copytree(reference, tmp_path / "copy")


@pytest.fixture
def image(config):
    return tiny.validation_set(config).image(0)


def result_of(folder, name="result"):
    return json.loads((folder / f"{name}.json").read_text())


def chosen(folder):
    """The threshold in a run's best checkpoint, or None."""
    path = tiny.best(folder) / "threshold.json"
    return json.loads(path.read_text()) if path.exists() else None


def between(detections):
    """A score that half of the detections reach."""
    scores = np.sort(detections.scores.astype(float))
    half = len(scores) // 2
    return (scores[half - 1] + scores[half]) / 2


def test_it_is_written_into_the_checkpoint_and_the_result(copy, capsys):
    assert tiny.tool("test", copy) == 0
    before = result_of(copy)
    assert chosen(copy) is None
    assert before["threshold"].pop("in_force") is False
    capsys.readouterr()
    assert tiny.tool("test", copy, "--threshold", "f1") == 0
    after, printed = result_of(copy), capsys.readouterr().out
    assert after["threshold"].pop("in_force") is True
    assert after == before  # without a threshold, the figures are at the best F1
    assert chosen(copy) == after["threshold"]
    shown = f"a score of {after['threshold']['scores'][0]:.3f} (f1, chosen on val)"
    tiny.assert_says(printed, f"precision, recall and F1 at {shown}", "AP50 %, VOC area")
    tiny.assert_says(printed, f"written: {tiny.best(copy)}/threshold.json: {shown}")

    assert tiny.tool("test", copy, "--split", "train") == 0  # another split is judged at it
    other = result_of(copy, "result_train")
    assert other["threshold"] == {**after["threshold"], "in_force": True}
    assert tiny.tool("test", copy, "--threshold", "f1", "--per-class") == 0
    each = chosen(copy)["scores"]
    assert each == [row["score"] for row in result_of(copy)["classes"].values()]
    assert len(set(each)) > 1


def test_classes_that_are_lost_at_a_common_score_are_named():
    def row(objects, precision):
        return {"objects": objects, "precision": precision}

    rows = {"cat": row(3, float("nan")), "dog": row(3, 0.5), "owl": row(0, float("nan"))}
    assert lost_classes({"classes": rows}) == "at this score, nothing is found of cat"
    assert lost_classes({"classes": {"dog": rows["dog"]}}) == lost_classes({}) == ""


def test_what_detects_takes_it_by_default(config, copy, image, tmp_path, capsys):
    everything = detkit.load(copy).detect(image)
    middle = between(everything)
    write_threshold(str(tiny.best(copy)), Threshold((middle,), "f1", "val"))
    detector = detkit.load(copy)
    assert detector.threshold.scores == (middle,)
    found = detector.detect(image)
    assert 0 < len(found) < len(everything)
    assert_same([found], [everything[everything.scores >= middle]])
    assert_same([detector.detect(image, score=0)], [everything])

    photo, out = tmp_path / "photo.png", tmp_path / "out"
    cv2.imwrite(str(photo), np.ascontiguousarray(image[..., ::-1]).astype(np.uint8))

    def drawn(*options):
        capsys.readouterr()
        words = (config, copy / "checkpoints/best", photo, "--out", out, *options)
        assert tiny.tool("demo", *words) == 0
        (line,) = capsys.readouterr().out.splitlines()
        return 0 if line.endswith(": nothing") else line.count(", ") + 1

    on_disk = detector.detect(str(photo), score=0).scores
    assert drawn() == (on_disk >= middle).sum() > 0
    assert drawn("--score", 0) == len(on_disk)
    assert drawn("--score", 0.5) == (on_disk >= 0.5).sum()


def test_a_run_without_one_is_drawn_as_before(config, reference, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.zeros((64, 64, 3), np.uint8))
    words = (config, reference / "checkpoints/best", photo, "--out", tmp_path / "out")
    assert detkit.load(reference).threshold is None
    assert 0 < detkit.load(reference).detect(str(photo)).scores.max() < 0.5
    assert tiny.tool("demo", *words) == 0
    assert capsys.readouterr().out.endswith(": nothing\n")


@pytest.mark.parametrize("count", [1, 6])
def test_an_export_keeps_it_and_gets_another(config, copy, image, tmp_path, count, capsys):
    score = between(detkit.load(copy).detect(image))
    threshold = Threshold((score,) * count, "precision=0.9", "val")
    write_threshold(str(tiny.best(copy)), threshold)
    out = tmp_path / "exported"
    words = (config, copy / "checkpoints/best", "--out", out, "--ops", "mxnet")
    assert tiny.tool("export", *words) == 0
    exported = detkit.load_exported(out)
    assert exported.threshold == threshold
    assert_same([exported.detect(image)], [detkit.load(copy).detect(image)])

    (out / "model.onnx").write_text("")
    capsys.readouterr()
    assert tiny.tool("test", config, out, "--threshold", "f1") == 0
    said = capsys.readouterr()
    tiny.assert_says(said.out, f"written: {out}/model.json: a score of ")
    tiny.assert_says(said.err, f"not changed: {out}/model.onnx", "export it again")
    found = detkit.load_exported(out).threshold
    assert (found.rule, found.split, len(found.scores)) == ("f1", "val", 1)
    assert list(found.scores) == result_of(out)["threshold"]["scores"]


def test_an_export_of_an_older_version_returns_all(config, reference, image, tmp_path):
    out = tmp_path / "exported"
    words = (config, reference / "checkpoints/best", "--out", out, "--ops", "mxnet")
    assert tiny.tool("export", *words) == 0
    content = json.loads((out / "model.json").read_text())
    assert content.pop("threshold") is None
    (out / "model.json").write_text(json.dumps(content))
    exported = detkit.load_exported(out)
    assert exported.threshold is None
    assert_same([exported.detect(image)], [detkit.load(reference).detect(image)])


def test_a_rule_that_is_not_fulfilled_leaves_the_threshold_as_it_was(copy, capsys):
    write_threshold(str(tiny.best(copy)), Threshold((0.5,), "f1", "val"))
    assert tiny.tool("test", copy, "--threshold", "precision=0.95") == 1
    tiny.assert_says(capsys.readouterr().err, "error: threshold precision=0.95: ", "at the most")
    assert chosen(copy)["scores"] == result_of(copy)["threshold"]["scores"] == [0.5]


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["--threshold", "f1", "--split", "test"], ("--split val", "found --split test", "judges")),
        (["--threshold", "f1", "--split", "train"], ("--split val", "found --split train")),
        (["--threshold", "f1", "--tta"], ("--threshold", "no --tta")),
        (["--per-class"], ("--per-class", "--threshold", "precision=P")),
        (["--threshold", "f2"], ("expected f1, precision=P or recall=R", "'f2'")),
        (["--threshold", "recall=0"], ("above 0", "'recall=0'")),
    ],
)
def test_wrong_words_are_refused(words, fragments, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool("test", tmp_path, *words)
    assert caught.value.code == 2
    tiny.assert_says(capsys.readouterr().err, *fragments)


def test_an_evaluator_without_hits_chooses_none(copy, capsys):
    scripted = "evaluate={type: Scripted, scores: [0.5]}"
    assert tiny.tool("test", copy, "--threshold", "f1", "--set", scripted) == 1
    tiny.assert_says(capsys.readouterr().err, "an evaluator that knows its hits", "VOCEvaluator")
    assert chosen(copy) is None
