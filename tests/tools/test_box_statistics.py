"""tools/box_statistics.py: what it prints is a config, with which a Fast R-CNN trains."""

import numpy as np
import pytest

from detkit.build import open_config
from detkit.build.box_statistics import measure_box_statistics
from support import tiny
from support.projects import fast_rcnn


@pytest.mark.parametrize("per_class", [False, True])
def test_its_output_is_the_base_of_a_config(tmp_path, capsys, per_class):
    config = tiny.project(tmp_path)
    overrides = fast_rcnn(tmp_path, config)
    words = ["--per-class"] * per_class
    assert tiny.tool("box_statistics", config, *words, "--set", *overrides) == 0
    printed = capsys.readouterr().out
    measured = measure_box_statistics(open_config(config, overrides))
    assert f"{measured.counts.sum()} positive RoIs" in printed

    # The model of the Fast R-CNN, then the numbers that the tool printed.
    config.with_name("fast.yaml").write_text(f"_base_: tiny.yaml\n{_as_yaml(overrides)}")
    config.with_name("measured.yaml").write_text(f"_base_: fast.yaml\n{printed}")
    post = open_config(config.with_name("measured.yaml"))["model"]["postprocess"]
    assert post["box_weights"] == [10, 10, 5, 5]
    expected = {"means": measured.means, "stds": measured.stds}
    if not per_class:
        expected = {"means": measured.mean, "stds": measured.std}
    assert post["box_statistics"].keys() == expected.keys()
    for name, numbers in expected.items():
        np.testing.assert_allclose(post["box_statistics"][name], numbers, rtol=1e-4)
    words = "train.epochs=1", "train.pictures=0"
    assert tiny.train(config.with_name("measured.yaml"), tmp_path / "work", *words) == 0


def _as_yaml(overrides):
    """The overrides as sections of a config, which replace those of its base."""
    sections = dict(each.split("=", 1) for each in overrides)
    data = {key.partition(".")[2]: sections.pop(key) for key in list(sections) if "." in key}
    lines = [
        f"{key}: {value.replace('{', '{_delete_: true, ', 1)}" for key, value in sections.items()
    ]
    return "\n".join([*lines, "data:", *(f"  {key}: {value}" for key, value in data.items())])


def test_a_detector_that_makes_its_own_proposals_is_refused(tmp_path, capsys):
    message = tiny.refused(capsys, "box_statistics", tiny.project(tmp_path))
    tiny.assert_says(message, "model.type: ", "FastRCNN", "'FasterRCNN'")
