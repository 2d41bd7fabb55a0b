"""``detkit anchors``: what it prints is true, and its last lines are a config."""

import numpy as np
import pytest
import yaml

from detkit import cli
from detkit.build import open_config
from detkit.build.anchor_fit import anchors_of, boxes_of, unmatched_by
from detkit.commands import line
from support import tiny
from support.layouts import make


@pytest.fixture
def anchors(capsys):
    """A function from arguments to the exit status and what is printed."""

    def call(*arguments):
        status = cli.run(line.main, ["anchors", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def yaml_of(printed):
    return printed[printed.index("model:") :]


def test_what_it_proposes_fits_better(config, anchors):
    bad = "model.anchors.sizes=[5]"
    status, printed, _ = anchors(config, "--set", bad)
    boxes = boxes_of(open_config(config), "train")
    before = unmatched_by(boxes, np.array([[5, 5]]))
    assert status == 0
    tiny.assert_says(
        printed,
        f"{len(boxes)} boxes",
        "1 anchor at a cell, of 1 level",
        "stride 8",
        f"{before:.1%} of the",
    )
    better = config.with_name("better.yaml")
    better.write_text(f"_base_: tiny.yaml\n{yaml_of(printed)}")
    after = unmatched_by(boxes, anchors_of(open_config(better), ["a"]).sides)
    assert after < before
    tiny.assert_says(printed, f"proposed: {after:.1%}")
    # A run's folder is its config.
    (config.parent / "run").mkdir()
    (config.parent / "run/config.yaml").write_text(config.read_text())
    assert anchors(config.parent / "run", "--set", bad, "plugins=[]")[0] == 0


def test_the_table_has_the_sizes(config, anchors):
    _, printed, _ = anchors(config, "--split", "val")
    boxes = boxes_of(open_config(config), "val")
    (row,) = [each.split() for each in printed.splitlines() if each.startswith("height")]
    assert row[1:] == [
        f"{number:.0f}" for number in np.percentile(boxes[:, 1], (0, 5, 50, 95, 100))
    ]


def test_a_folder_of_data_needs_no_config(tmp_path, anchors):
    folder = make(tmp_path / "data", "labelme")
    status, printed, _ = anchors(folder)
    assert status == 0
    tiny.assert_says(printed, "of the images on disk")
    model = yaml.safe_load(yaml_of(printed))["model"]
    assert set(model) == {"backbone", "anchors"}
    assert model["anchors"]["sizes"]
    yolo = make(tmp_path / "yolo", "yolo")
    assert "3 boxes" in anchors(yolo / "data.yaml")[1]
    assert "shorter side is 300" in anchors(folder, "--short", 300)[1]


def test_what_cannot_be_measured_is_refused(config, tmp_path, anchors):
    status, _, error = anchors(config, "--short", 300)
    assert status == 1
    tiny.assert_says(error, "--short", "data.train_transforms.0.short=300")
    status, _, error = anchors(make(tmp_path / "data", "labelme"), "--split", "val")
    assert status == 1
    tiny.assert_says(error, "expected one of its splits", "'val'")
    with pytest.raises(SystemExit):
        anchors(config, "--long", 300)
