"""``detkit test``: figures that fail a build, and files that other programs judge."""

import contextlib
import io
import json
import shutil

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detkit.commands.arguments.test import least
from detkit.config import load_config
from support import tiny
from support.projects import RPN


@pytest.fixture
def copy(reference, tmp_path):
    """A run that a test may write into."""
    return shutil.copytree(reference, tmp_path / "copy")


def under(copy, capsys, *wanted):
    """The exit status of --fail-under and its message."""
    capsys.readouterr()
    return tiny.tool("test", copy, "--fail-under", *wanted), capsys.readouterr().err


def test_a_figure_that_is_too_low_ends_with_1_and_says_it(copy, capsys):
    assert under(copy, capsys, "AP50=0", "classes/star/recall=0") == (0, "")
    status, said = under(copy, capsys, "AP=0.001", "AP50=0.9", "classes/star/recall=1")
    result = json.loads((copy / "result.json").read_text())
    star = result["classes"]["star"]["recall"]
    assert status == 1
    assert said == (
        f"error: --fail-under: AP50: expected at least 0.9, found {result['AP50']:.4f}; "
        f"classes/star/recall: expected at least 1, found {star:.4f}\n"
    )
    # A figure without objects is none, and passes no test.
    status, said = under(copy, capsys, "classes/circle/AP50=0")
    assert status == 1
    assert "classes/circle/AP50: expected at least 0, found none, as there are no objects" in said


@pytest.mark.parametrize(
    ("key", "fragments"),
    [
        ("AP5O", ("'AP5O'", "did you mean 'AP50'")),
        ("classes/stars/recall", ("'classes/stars/recall'", "did you mean 'classes/star/recall'")),
        ("speed", ("'speed'", "known are AP, AP50, classes/circle/AP")),
        ("per_class", ("'per_class'",)),
    ],
)
def test_an_unknown_figure_is_named(copy, capsys, key, fragments):
    status, said = under(copy, capsys, f"{key}=0.5")
    assert status == 1
    tiny.assert_says(said, "error: --fail-under: expected a figure of result.json", *fragments)


@pytest.mark.parametrize("text", ["AP50", "=0.5", "AP50=90", "AP50=-1", "AP50=nan", "AP50=x"])
def test_what_is_no_figure_and_fraction_is_refused(text, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool("test", tmp_path, "--fail-under", text)
    assert caught.value.code == 2
    tiny.assert_says(capsys.readouterr().err, "KEY=VALUE", "from 0 to 1", repr(text))


def test_the_name_of_a_class_may_hold_an_equals_sign():
    assert least("classes/a=b/AP50=0.5") == ("classes/a=b/AP50", 0.5)


def by_pycocotools(truth, found):
    """AP and AP50 of two files."""
    with contextlib.redirect_stdout(io.StringIO()):
        objects = COCO(str(truth))
        evaluation = COCOeval(objects, objects.loadRes(str(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:2]


@pytest.mark.parametrize("kind", ["FasterRCNN", "RPN"])
def test_pycocotools_finds_the_same_in_the_two_files(config, copy, kind, tmp_path):
    if kind == "RPN":
        copy = tmp_path / "rpn"
        assert tiny.train(config, copy, *RPN, "train.epochs=1") == 0
    out = tmp_path / "found.json"
    coco = "evaluate={type: COCOEvaluator}"
    assert tiny.tool("test", copy, "--out", out, "--set", coco) == 0
    result = json.loads((copy / "result.json").read_text())
    truth = tmp_path / "found.truth.json"
    ap, at_50 = by_pycocotools(truth, out)
    assert ap == pytest.approx(result["AP"], abs=1e-12)
    assert at_50 == pytest.approx(result["AP50"], abs=1e-12) and at_50 > 0
    assert (
        len(json.loads(truth.read_text())["images"]) == load_config(config)["data"]["val"]["length"]
    )
