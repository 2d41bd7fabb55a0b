"""``detkit report``: its inputs, its page, and what it refuses."""

import json
import re
import shutil

import pytest

from detkit import cli
from detkit.build import build_dataset, open_config
from detkit.checkpoints import folder_of, write_threshold
from detkit.commands import line
from detkit.commands.report import short_names
from detkit.detections.results import save_results
from detkit.threshold import Threshold
from support import tiny


@pytest.fixture
def report(capsys):
    """A function from arguments to what is said."""

    def call(*arguments, status=0):
        assert cli.run(line.main, ["report", *map(str, arguments)]) == status
        said = capsys.readouterr()
        return said.err if status else said.out

    return call


def data_of(path):
    pattern = r'<script type="application/json" id="data">(.*?)</script>'
    return json.loads(re.search(pattern, path.read_text(), re.S).group(1))


@pytest.fixture
def results(config, tmp_path):
    """A file of results of data.val without a detection."""
    path = tmp_path / "results.json"
    save_results(path, {}, build_dataset(open_config(config), "val"))
    return path


def test_a_run_and_a_file_of_results(reference, results, report, tmp_path):
    out = tmp_path / "folder/page.html"
    said = report(reference, results, "--out", out, "--examples", 1)
    assert f"{out}: 4 images" in said
    data = data_of(out)
    run, other = data["runs"]
    assert other["metrics"]["voc"]["AP50"] == 0
    assert {"loss", "AP50", "lr"} <= {curve["name"] for curve in run["curves_of_training"]}
    assert run["about"]["checkpoint"].startswith("step-")
    assert "threshold" not in run["about"]
    assert run["about"]["trained"]["detkit"] == run["about"]["environment"]["detkit"]
    lr = [one for one in run["about"]["config"] if one["key"] == "train.lr"]
    assert re.fullmatch(r"config\.yaml:\d+", lr[0]["where"])
    assert run["speed"]["images_per_second"] > 0
    assert [one["kind"] for one in other["examples"]].count("worst") == 1
    assert set(data["pictures"]) == {
        str(one["image_id"]) for each in data["runs"] for one in each["examples"]
    }


def test_the_threshold_of_the_detector(reference, report, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    write_threshold(folder_of(str(run / "checkpoints/best")), Threshold((0.25,), "f1", "val"))
    report(run, "--out", tmp_path / "a.html")
    about = data_of(tmp_path / "a.html")["runs"][0]["about"]
    assert about["threshold"] == {"text": "a score of 0.250 (f1, chosen on val)", "score": 0.25}


def test_no_examples(config, results, report, tmp_path):
    report(results, "--config", config, "--out", tmp_path / "a.html", "--examples", 0)
    data = data_of(tmp_path / "a.html")
    assert data["pictures"] == {}
    assert data["runs"][0]["examples"] == []


def test_what_is_refused(results, config, report, tmp_path):
    said = report(results, "--out", tmp_path / "a.html", status=1)
    tiny.assert_says(said, "--config: expected the config", str(results))
    said = report(results, "--config", config, "--out", tmp_path / "a.txt", status=1)
    tiny.assert_says(said, "--out", "a.txt", "expected a file that ends with .html")
    with pytest.raises(SystemExit):
        report(results, "--out", tmp_path / "a.html", "--examples", "-1")


def test_names_leave_out_what_is_common():
    assert short_names(["runs/a/checkpoints/best", "runs/b"]) == ["a/checkpoints/best", "b"]
    assert short_names(["work_dirs/mine"]) == ["mine"]
