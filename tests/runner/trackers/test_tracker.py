"""The base of the trackers: what is sent, when, and that a service cannot end a training."""

import json
import signal
from types import SimpleNamespace

import pytest

from detkit.checkpoints import Progress
from detkit.errors import ConfigError
from detkit.registry import HOOKS
from detkit.runner.trackers import Tracker
from detkit.runner.trackers.tracker import client, flat
from support import tiny


class Listed(Tracker):
    """A tracker whose service is a list of what arrives; it may be down."""

    down = False

    def __init__(self, where="here"):
        super().__init__(where)
        self.heard = []

    def open(self, about):
        self.note("open", about)
        return about.id or "new"

    def numbers(self, values, step):
        self.note(step, values)

    def picture(self, path, step):
        self.note("picture", path, step)

    def end(self, status):
        self.note("end", status)

    def note(self, *what):
        if self.down:
            raise ConnectionError("no route")
        self.heard.append(what)

    @property
    def steps(self):
        return [what[0] for what in self.heard if isinstance(what[0], int)]


@pytest.fixture
def run(tmp_path):
    """A run of three steps, the last of them evaluated."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.yaml").write_text("model: {type: X, sizes: [1, 2]}\n")
    run = SimpleNamespace(
        work_dir=str(folder),
        picture=None,
        progress=Progress(3, 1, 0),
        interrupt=SimpleNamespace(signal=None),
        failure=None,
    )
    run.log = folder / "log.jsonl"
    run.log.write_text('{"kind": "environment", "python": "3"}\n')
    return run


def train(run, *steps):
    with open(run.log, "a") as file:
        for step in steps:
            file.write(json.dumps({"kind": "train", "step": step, "loss": 1.0 / step}) + "\n")


def kept(run):
    return json.loads((run.log.parent / "trackers.json").read_text())


def test_each_record_is_sent_once(run):
    tracker = Listed()
    tracker.start(run)
    train(run, 1)
    tracker.after_step(run)
    tracker.after_step(run)
    train(run, 2, 3)
    tracker.after_epoch(run)
    tracker.finish(run)
    tracker.close(run)
    assert tracker.heard[1:] == [
        (1, {"train/loss": 1.0}),
        (2, {"train/loss": 0.5}),
        (3, {"train/loss": pytest.approx(1 / 3)}),
        ("end", "finished"),
    ]
    ((_, about),) = tracker.heard[:1]
    assert (about.name, about.id, about.step) == ("mine", None, 3)
    assert about.config == {"model.type": "X", "model.sizes": "[1, 2]"}
    assert kept(run) == {"Listed here": {"id": "new", "sent": run.log.stat().st_size}}


def test_a_service_that_fails_is_told_once_and_gets_everything_later(run, caplog):
    tracker = Listed()
    tracker.start(run)
    train(run, 1)
    tracker.after_step(run)
    tracker.down = True
    for step in (2, 3):
        train(run, step)
        tracker.after_step(run)
    tracker.evaluate(run)
    (record,) = caplog.records
    tiny.assert_says(record.getMessage(), "Listed here", "ConnectionError: no route", "goes on")
    tracker.down, run.picture = False, "sheet.png"
    tracker.after_step(run)  # not before the next evaluation
    assert tracker.steps == [1]
    tracker.evaluate(run)
    assert tracker.steps == [1, 2, 3]
    assert tracker.heard[-1] == ("picture", "sheet.png", 3)
    assert len(caplog.records) == 1


def test_a_service_that_is_not_there_at_first_is_opened_later(run, caplog):
    tracker = Listed()
    tracker.down = True
    train(run, 1)
    tracker.start(run)
    tracker.close(run)
    assert not (run.log.parent / "trackers.json").exists()
    tracker.down = False
    tracker.evaluate(run)
    assert [what[0] for what in tracker.heard] == ["open", 1]
    assert len(caplog.records) == 1


def test_a_resumed_run_continues_the_same_one_where_it_ended(run):
    train(run, 1, 2)
    first = Listed()
    first.start(run)
    first.close(run)
    train(run, 3)
    second, other = Listed(), Listed("elsewhere")
    for tracker in (second, other):
        tracker.start(run)
    assert second.heard[0][1].id == "new"
    assert (second.steps, other.steps) == ([3], [1, 2, 3])
    assert set(kept(run)) == {"Listed here", "Listed elsewhere"}


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"Listed here": 3}', '{"Listed here": {"id": 3, "sent": 1}}', "[" * 100_000]
    + ['{"Listed here": {"id": "a", "sent": -1}}', '{"Listed here": {"id": "a", "sent": true}}'],
)
def test_a_damaged_file_of_ids_begins_a_new_run(run, text):
    (run.log.parent / "trackers.json").write_text(text)
    train(run, 1)
    tracker = Listed()
    tracker.start(run)
    assert tracker.heard[0][1].id is None
    assert tracker.steps == [1]


def test_the_records_of_another_log_are_all_sent(run):
    sent = {"Listed here": {"id": "old", "sent": 10**9}}
    (run.log.parent / "trackers.json").write_text(json.dumps(sent))
    train(run, 1)
    tracker = Listed()
    tracker.start(run)
    assert tracker.steps == [1]


@pytest.mark.parametrize(
    ("failure", "number", "status"),
    [
        (None, None, "finished"),
        (OSError(), None, "failed"),
        (None, signal.SIGTERM, "stopped"),
        (KeyboardInterrupt(), signal.SIGINT, "stopped"),
    ],
)
def test_the_status_says_how_the_run_ended(run, failure, number, status):
    tracker = Listed()
    tracker.start(run)
    run.failure, run.interrupt.signal = failure, number
    tracker.close(run)
    assert tracker.heard[-1] == ("end", status)


def test_a_config_is_flat():
    config = {"a": {"b": 1, "c": None}, "d": [{"type": "X"}, {"type": "Y", "z": [1, 2]}], "e": []}
    found = {"a.b": 1, "a.c": None, "d.0.type": "X", "d.1.type": "Y", "d.1.z": "[1, 2]", "e": "[]"}
    assert flat(config) == found


def test_a_missing_client_says_what_to_install():
    with pytest.raises(ConfigError) as raised:
        client("no_such_client", "wandb")
    tiny.assert_says(str(raised.value), "train.hooks", "'no_such_client'", "pip install", "[wandb]")


def test_every_tracker_is_a_hook_of_the_config():
    assert {"ClearML", "MLflow", "TensorBoard", "WandB"} <= set(HOOKS.names())
