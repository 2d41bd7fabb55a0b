"""The log of a run as series: resumed, cut off, damaged."""

import json

import pytest

from detkit.files.run_log import Series, numbers_of, read_records, read_series, thinned


def train(step, loss, **others):
    return {"kind": "train", "epoch": step / 3, "step": step, "lr": 0.1, "loss": loss, **others}


def evaluate(step, ap, **per_class):
    return {"kind": "evaluate", "epoch": 1.0, "step": step, "AP": ap, "per_class": per_class}


def written(tmp_path, *records, end=""):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + end)
    return path


def test_the_numbers_of_a_record_have_the_name_of_their_group():
    record = {**train(4, 1.5, eta_seconds=3), "memory_mb": 70, "note": "x", "flag": True}
    assert numbers_of(record) == {"train/lr": 0.1, "train/loss": 1.5, "train/memory_mb": 70.0}
    assert numbers_of({"kind": "val_loss", "step": 4, "loss": 2}) == {"val/loss": 2.0}
    found = numbers_of(evaluate(4, None, **{"a/b": 0.5, "c": None}))
    assert found == {"per_class/a_b": 0.5}
    assert numbers_of({"kind": "released", "step": 4, "AP": 1}) == {}
    assert numbers_of({"kind": "train", "loss": 4}) == {}


def test_a_series_has_the_steps_and_values_of_its_records(tmp_path):
    path = written(tmp_path, train(1, 5.0), train(2, 4.0), evaluate(2, 0.25), train(3, 3.0))
    found = read_series(path)
    assert found["train/loss"] == Series([1, 2, 3], [5.0, 4.0, 3.0])
    assert found["train/lr"] == Series([1, 2, 3], [0.1] * 3)
    assert found["metrics/AP"] == Series([2], [0.25])
    assert read_series(tmp_path / "none") == {}


def test_what_a_resumed_run_makes_again_replaces_what_was_there(tmp_path):
    before = [train(1, 9.0), train(2, 8.0), evaluate(2, 0.5), train(4, 7.0), evaluate(4, 0.6)]
    found = read_series(written(tmp_path, *before, train(3, 5.0), train(3, 4.0)))
    assert found["train/loss"] == Series([1, 2, 3], [9.0, 8.0, 4.0])
    assert found["metrics/AP"] == Series([2], [0.5])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[1]",
        "nothing",
        '{"kind": "tra',
        "[" * 100_000,
        '{"kind": "train", "step": "1", "loss": 2}',
        '{"kind": "train", "step": 1, "loss": 1' + "0" * 400 + "}",
        '{"kind": "train", "step": 1, "loss": NaN}',
        '{"kind": ["train"], "step": 1, "loss": 2}',
        '{"kind": "train", "step": 1e999, "loss": 2}',
        "x" * (1 << 21),
        "\0\xff",
    ],
)
def test_a_line_that_is_no_record_is_passed_over(tmp_path, line):
    path = written(tmp_path, train(1, 2.0), end=line + "\n" + json.dumps(train(2, 1.0)) + "\n")
    assert read_series(path)["train/loss"] == Series([1, 2], [2.0, 1.0])


def test_records_are_read_from_where_the_last_reading_ended(tmp_path):
    path = written(tmp_path, train(1, 2.0), train(2, 1.0), end='{"kind": "tr')
    first = list(read_records(path))
    assert [record["step"] for record, _ in first] == [1, 2]
    assert first[-1][1] == path.stat().st_size - len('{"kind": "tr')
    with open(path, "a") as file:
        file.write('ain", "step": 3}\n')
    assert [record["step"] for record, _ in read_records(path, first[0][1])] == [2, 3]
    assert [record["step"] for record, _ in read_records(path, first[-1][1])] == [3]


def test_a_long_series_is_thinned_to_means():
    series = Series(list(range(1, 11)), [float(n) for n in range(10)])
    assert thinned(series, 10) == series
    assert thinned(series, 5) == Series([1.5, 3.5, 5.5, 7.5, 9.5], [0.5, 2.5, 4.5, 6.5, 8.5])
    assert len(thinned(series, 3).steps) == 3
    assert sum(thinned(Series([1, 2, 3], [3.0, 3.0, 3.0]), 2).values) == 6.0
