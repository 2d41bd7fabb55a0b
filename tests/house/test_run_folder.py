"""A run's folder, as tools/README.md lists it: no file is missing there, and no row is stale."""

import json
import re

import pytest

from detkit.checkpoints import write_threshold
from detkit.checkpoints.names import THRESHOLD
from detkit.threshold import Threshold
from support import tiny

# Rows of the list that a plain training does not write.
OTHERS = {
    *("data/", "start/", "stages/NAME/"),  # of other commands and configs
    *("run.lock", "not_finite_step_292.npz"),  # during the training, and after its failure
    *("result_train.json", "result_tta.json", "result_tiles.json"),  # of detkit test
    *("trackers.json", "tensorboard/", "wandb/"),  # of hooks
}
KINDS = {"environment", "train", "val_loss", "evaluate"}


def section():
    """The section of the guide."""
    text = (tiny.ROOT / "tools/README.md").read_text(encoding="utf-8")
    return text.split("## A run's folder")[1].split("\n## ")[0]


def rows(head, after):
    """The names in the first column of the first table with this head after a text."""
    table = section().split(after, 1)[1].split(f"| {head} |", 1)[1].split("\n\n")[0]
    return {
        name
        for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(.+?)`", row)
    }


def entries(folder):
    return {path.name + "/" * path.is_dir() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    work = folder / "mine"
    assert tiny.train(tiny.project(folder), work, "train.epochs=1", "train.val_loss=true") == 0
    return work


def test_every_file_of_a_run_is_listed_and_every_row_has_its_file(run):
    assert entries(run) == rows("file", "writes into") - OTHERS


def test_every_file_of_a_checkpoint_is_listed(run):
    listed = rows("file", "A checkpoint")
    assert entries(tiny.best(run)) == listed - {THRESHOLD}
    write_threshold(str(tiny.best(run)), Threshold((0.5,), "f1", "val"))
    assert entries(tiny.best(run)) == listed
    assert {name for name in entries(run / "checkpoints") if "step-" not in name} == {
        "best",
        "last",
    }


def test_every_kind_of_record_is_explained(run):
    listed = rows("kind", "Each line of")
    records = (run / "log.jsonl").read_text().splitlines()
    assert {json.loads(record)["kind"] for record in records} == KINDS
    written = set()
    for path in (tiny.ROOT / "detkit").rglob("*.py"):
        written |= set(re.findall(r'log\.write\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    assert listed == written | KINDS | {"output_closed"}


def test_every_number_of_a_training_record_is_explained(run):
    (record,) = tiny.records(run, "train")[-1:]
    parts = {"rpn_class", "rpn_box", "roi_class", "roi_box"}
    row = section().split("| `train` |")[1].split("\n")[0]
    assert set(record) - parts - {"kind"} == set(re.findall(r"`(\w+)`", row))
