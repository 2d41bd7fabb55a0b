"""``detkit anchors``: what it prints is true, and its last lines are a config."""

import numpy as np
import pytest
import yaml

from detkit import cli
from detkit.build import build_dataset, build_transforms, open_config
from detkit.build.anchor_fit import anchors_of, boxes_of, unmatched_by
from detkit.commands import line
from detkit.commands.anchors_plot import PANEL
from detkit.commands.browse_inputs import matcher_of
from detkit.commands.browse_samples import samples_of
from detkit.data.images import decode_image
from detkit.runner.chart import COLOURS
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


def recall(printed, name):
    """The recall at IoU 0.5 and 0.7 in the last row of a name, in percent."""
    row = [each for each in printed.splitlines() if each.startswith(name)][-1]
    return [float(cell[:-1]) for cell in row.split()[-2:]]


def test_the_recall_is_that_of_the_training_s_own_anchors(config, anchors):
    """Compared with the anchors that the training step is given for each image."""
    overrides = ["train_step.rpn_targets.straddle=0", "model.anchors.sizes=[16]"]
    _, printed, _ = anchors(config, "--set", *overrides)
    opened = open_config(config, overrides)
    dataset = build_dataset(opened, "train")
    matcher = matcher_of(opened, dataset)
    seed, transforms = opened["seed"], build_transforms(opened, "train")
    samples = [sample for _, sample in samples_of(dataset, range(len(dataset)), transforms, seed)]
    best = np.concatenate([matcher(sample).best for sample in samples])
    expected = [100 * (best >= threshold).mean() for threshold in (0.5, 0.7)]
    assert recall(printed, "configured anchors, on the grid") == pytest.approx(expected, abs=0.051)
    possible = recall(printed, "configured anchors, best possible")
    assert all(a >= b for a, b in zip(possible, expected))
    assert recall(printed, "proposed anchors, best possible")[0] > possible[0]
    assert recall(printed, "k-means")[0] >= 50


def test_closer_anchors_of_the_same_number_are_proposed(config, anchors):
    """Those of the config match every object, and few of them well."""
    loose = "model.anchors={type: AnchorGrid, sizes: [10, 18, 30, 50, 90], ratios: [0.5, 1, 2]}"
    _, printed, _ = anchors(config, "--set", loose)
    grid = yaml.safe_load(yaml_of(printed))["model"]["anchors"]
    assert len(grid["sizes"]) * len(grid["ratios"]) <= 15
    before, after = (
        recall(printed, f"{name} anchors, on the grid") for name in ("configured", "proposed")
    )
    assert sum(after) > sum(before)
    fitting = (
        f"model.anchors={{type: AnchorGrid, sizes: {grid['sizes']}, ratios: {grid['ratios']}}}"
    )
    _, printed, _ = anchors(config, "--set", fitting)
    assert "these anchors fit as well" in printed
    assert "model:" not in printed


def test_a_plot_is_drawn(config, anchors, tmp_path):
    path = tmp_path / "anchors.png"
    assert anchors(config, "--plot", path)[0] == 0
    drawn = decode_image(path)
    assert drawn.shape == (PANEL[0], 2 * PANEL[1], 3)
    for colour in COLOURS[1:3]:  # anchors, and as many shapes
        assert (drawn[:, : PANEL[1]] == colour).all(axis=2).any()
    assert anchors(make(tmp_path / "data", "labelme"), "--plot", path)[0] == 0
    status, _, error = anchors(config, "--plot", tmp_path / "plot.txt")
    assert status == 1
    tiny.assert_says(error, "--plot", "plot.txt", ".png")


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
