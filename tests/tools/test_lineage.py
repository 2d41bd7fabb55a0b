"""tools/lineage.py: its systems and its tables; runs on the embedded shapes."""

import json

import pytest

from detkit.config import load_config
from lineage.systems import SYSTEMS, schedule
from lineage.table import tables
from support import tiny

SHAPES = (
    "data.train={_delete_: true, type: Shapes, length: 2, size: [64, 64], seed: 1}",
    "data.val={_delete_: true, type: Shapes, length: 2, size: [64, 64], seed: 2}",
    "data.train_transforms=[{type: Resize, short: 64, long: 64}, {type: HorizontalFlip}]",
    "data.val_transforms=[{type: Resize, short: 64, long: 64}]",
    "model.backbone.pretrained=null",
    "train.pictures=0",
    "train.checkpoint_every=4",
)
RECALL = {size: [0.5, 0.75, None] for size in ("all", "small", "medium", "large")}


def result(**changed):
    plain = {"AP": 0.5, "AP50": 0.8, "minutes": 10.0, "ms": 100.0, "recall": RECALL}
    return {**plain, "proposals": "search", "proposal_ms": 0.0, **changed}


# --- Parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_has_a_config_and_whole_epochs(name):
    system = SYSTEMS[name]
    overrides = [*schedule(4, system.stages), "model.backbone.pretrained=null"]
    config = load_config(str(tiny.ROOT / "configs" / system.config), overrides)
    train = config["train"]
    assert train["epochs"] * system.stages == 4
    assert train["schedule"]["drops"] == [0.75 * train["epochs"]]


def test_tables():
    seeds = [result(AP50=0.8), result(AP50=0.9)]
    lines = tables({"One": [result(proposal_ms=50.0)], "Two": seeds}).splitlines()
    assert lines[2] == "| One | search | 50.0 | 80.0 | 10.0 | 100 + 50 |"
    assert lines[3] == "| Two | search | 50.0 ± 0.0 | 85.0 ± 7.1 | 10.0 ± 0.0 | 100 ± 0 |"
    assert (
        "| One | 50.0 / 75.0 / – | 50.0 / 75.0 / – | 50.0 / 75.0 / – | 50.0 / 75.0 / – |" in lines
    )


def test_the_recall_of_a_peer_is_left_out():
    peer = result()
    del peer["recall"]
    assert tables({"Peer": [peer]}).count("Peer") == 1


# --- Runs -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_systems_are_trained_and_compared(tmp_path, capsys):
    options = ("--out", tmp_path, "--seeds", 1, "--proposals", "sliding_windows", "--set", *SHAPES)
    assert tiny.tool("lineage", "joint", "fast_search", *options) == 0, capsys.readouterr().err
    assert "Fast R-CNN (2015)" in capsys.readouterr().out
    results = json.loads((tmp_path / "lineage.json").read_text())
    (joint,), (fast,) = results["Faster R-CNN, joint"], results["Fast R-CNN (2015)"]
    for run in (joint, fast):
        assert 0 <= run["AP"] <= run["AP50"] <= 1
        assert len(run["recall"]["all"]) == 3
        assert run["ms"] > 0 and run["minutes"] > 0
    assert joint["proposal_ms"] == 0 < fast["proposal_ms"]
    assert fast["proposals"] == "sliding windows"
    assert (tmp_path / "lineage.md").read_text().count("Faster R-CNN, joint") == 2

    # Done once: the second call changes nothing.
    state = (tmp_path / "joint-0/account.json").read_text()
    assert tiny.tool("lineage", "joint", *options) == 0
    assert (tmp_path / "joint-0/account.json").read_text() == state


@pytest.mark.parametrize(
    "options, said",
    [
        (["nothing"], ["SYSTEM", "joint", "nothing"]),
        (["--epochs", "6"], ["--epochs", "4", "6"]),
        (["torchvision"], ["--torchvision"]),
    ],
)
def test_wrong_arguments(options, said, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tiny.tool("lineage", "--out", tmp_path, *options)
    tiny.assert_says(capsys.readouterr().err, *said)
