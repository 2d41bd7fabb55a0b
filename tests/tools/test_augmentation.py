"""tools/augmentation.py and tools/few_images.py: rows, plans, tables; runs on embedded shapes."""

import json
import signal
import subprocess
import sys
import time

import pytest

from augmentation.bases import BASES, PLAIN, Change, overrides
from augmentation.rows import ROWS, change_of, sides_of
from augmentation.table import images_table, table
from augmentation.trainings import Training
from detkit.build import build_transforms
from detkit.config import load_config, to_plain
from detkit.data import augment
from detkit.data.presets import PRESETS
from support import tiny

# A network and images that take seconds.
TINY = (
    "model.backbone.pretrained=null",
    "model.roi_head.hidden=[8]",
    "data.val={_delete_: true, type: Shapes, length: 2, size: [64, 64], seed: 2}",
    "data.val_transforms=[{type: Resize, short: 64, long: 64}]",
    "data.train.dataset={_delete_: true, type: Shapes, length: 20, size: [64, 64], seed: 1}",
    "model.neck.channels=8",
    "model.rpn_head.channels=8",
    "train.checkpoint_every={steps: 2}",
)


def options(out, *more, steps=2):
    given = ("--out", out, "--seeds", 1, "--steps", steps)
    return [*map(str, given), *more, "--set", *TINY]


# --- Parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
def test_a_base_becomes_a_config_that_is_judged_once(base):
    given = overrides(BASES[base], PLAIN, 12, 40, seed=3)
    config = load_config(str(tiny.ROOT / "configs" / BASES[base].config), given)
    assert config["data"]["train"]["images"] == 12
    assert config["seed"] == config["data"]["train"]["seed"] == 3
    assert config["train"]["steps"] == config["train"]["evaluate_every"]["steps"] == 40
    assert to_plain(config["data"]["val_transforms"]) == [BASES[base].resize]


@pytest.mark.parametrize("name", ROWS)
def test_the_two_sides_of_a_row_differ_in_its_transforms_alone(name):
    base, lists = BASES[ROWS[name].base], []
    for variant in sides_of(name).values():
        given = overrides(base, change_of(variant), 12, 40, seed=0)
        config = load_config(str(tiny.ROOT / "configs" / base.config), given)
        lists.append([type(each) for each in build_transforms(config, "train")])
        assert config["data"].pop("train_transforms")
        lists.append(to_plain(config))
    assert lists[1] == lists[3]
    assert lists[0] != lists[2] or name == "several-sizes"


def test_every_transform_and_every_preset_has_a_row():
    assert {*augment.__all__, *PRESETS, "Photometric", "HorizontalFlip"} <= {*ROWS}


def test_a_removed_transform_is_with_the_plain_training():
    assert sides_of("HorizontalFlip") == {"without": "HorizontalFlip", "with": "plain"}
    assert sides_of("Noise") == {"without": "plain", "with": "Noise"}
    base = BASES["bccd"]
    assert Change(flip=False).transforms(base) == [base.resize]
    assert PLAIN.transforms(base) == [base.resize, {"type": "HorizontalFlip"}]


def test_the_table_shows_each_seed_and_the_differences_of_pairs():
    seeds = [{"AP": ap, "AP50": ap, "minutes": 3.0} for ap in (0.2, 0.3)]
    better = [{"AP": ap, "AP50": ap, "minutes": 4.0} for ap in (0.21, 0.33)]
    row = {"base": "bccd", "images": 40, "config": "c.yaml", "without": seeds, "with": better}
    line = table({"Noise": row}).splitlines()[2]
    assert "| Noise | bccd, 40 | c.yaml | 20.0, 30.0 | 21.0, 33.0 | +2.0 ± 1.4 |" in line
    assert line.endswith("| – | – | – | 3.5 ± 0.6 |")


def test_the_table_of_numbers_of_images():
    seeds = [{"AP": 0.2}, {"AP": 0.25}]
    lines = images_table({"plain": {"10": seeds, "30": seeds}, "light": {"10": seeds}}, "AP")
    assert lines.splitlines()[2:] == [
        "| plain | 20.0, 25.0 | 20.0, 25.0 |",
        "| light | 20.0, 25.0 | – |",
    ]


# --- Command lines --------------------------------------------------------------------------------


def test_a_dry_run_lists_each_training_once_and_makes_none(tmp_path, capsys):
    only = ("--only", "Noise", "Blur", "--dry-run")
    assert tiny.tool("augmentation", "--out", tmp_path / "out", *only) == 0
    said = capsys.readouterr().out.splitlines()
    kinds = ("plain", "Noise", "Blur")
    assert sorted(line.partition(":")[0] for line in said[:-1]) == sorted(
        Training("bccd", 40, kind, seed).name for kind in kinds for seed in (0, 1)
    )
    assert "minutes in all" in said[-1]
    assert not (tmp_path / "out").exists()


def test_a_dry_run_of_few_images(tmp_path, capsys):
    given = ("--out", tmp_path, "--images", 10, 30, "--seeds", 1, "--dry-run")
    assert tiny.tool("few_images", *given) == 0
    said = capsys.readouterr().out
    assert said.count("about") == 2 * (1 + len(PRESETS))
    assert tiny.tool("few_images", *given, "--start-from", tmp_path, "--only", "transfer") == 0
    assert capsys.readouterr().out.count("-transfer-") == 2


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        ("augmentation", ["--only", "Nothing"], ["--only", "Mosaic", "'Nothing'"]),
        ("augmentation", ["--seeds", "0"], ["--seeds"]),
        ("few_images", ["--only", "transfer"], ["transfer", "--start-from"]),
    ],
)
def test_wrong_arguments(tool, given, said, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tiny.tool(tool, "--out", tmp_path, *given)
    tiny.assert_says(capsys.readouterr().err, *said)


# --- Runs -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_row_is_made_once(tmp_path, capsys):
    row = ("--only", "Cutout", "--images", "2")
    assert tiny.tool("augmentation", *options(tmp_path, *row)) == 0, capsys.readouterr().err
    found = json.loads((tmp_path / "augmentation.json").read_text())["Cutout"]
    for side in ("without", "with"):
        (result,) = found[side]
        assert 0 <= result["AP"] <= result["AP50"] <= 1 and result["minutes"] > 0
    assert (found["base"], found["images"]) == ("shapes", 2)
    accounts = [path.read_text() for path in sorted(tmp_path.glob("*/account.json"))]
    assert len(accounts) == 2

    assert tiny.tool("augmentation", *options(tmp_path, *row)) == 0
    assert [path.read_text() for path in sorted(tmp_path.glob("*/account.json"))] == accounts
    assert "| Cutout |" in capsys.readouterr().out
    assert tiny.tool("augmentation", *options(tmp_path, *row, steps=4)) == 1
    tiny.assert_says(capsys.readouterr().err, "overrides.json", "train.steps=2", "--out")


@pytest.mark.slow
def test_few_images_go_on_after_a_kill_and_are_drawn(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    given = options(tmp_path, "--images", "2", "--only", "plain", steps=4)
    command = [sys.executable, str(tiny.ROOT / "tools/few_images.py"), *given]
    folder = tmp_path / "pennfudan_test-2-plain-0"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "work/checkpoints/step-00000002").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.wait()
    account = json.loads((folder / "account.json").read_text())["train"]
    assert not account["done"] and account["seconds"] > 0

    assert tiny.tool("few_images", *given) == 0, capsys.readouterr().err
    assert "resuming from" in (folder / "train.log").read_text()
    assert json.loads((folder / "account.json").read_text())["train"]["done"]

    start = ("--only", "transfer", "--start-from", str(folder / "work"))
    given = options(tmp_path, "--images", "2", *start, steps=4)
    assert tiny.tool("few_images", *given) == 0, capsys.readouterr().err
    found = json.loads((tmp_path / "few_images.json").read_text())
    assert {name: list(each) for name, each in found.items()} == {"plain": ["2"], "transfer": ["2"]}
    assert 0 <= found["transfer"]["2"][0]["mask_AP"] <= 1
    assert "| mask AP | 2 images |" in (tmp_path / "few_images.md").read_text()
    log = (tmp_path / "pennfudan_test-2-transfer-0/train.log").read_text()
    assert "starting from the weights of" in log
    assert (tmp_path / "few_images.png").read_bytes().startswith(b"\x89PNG")
