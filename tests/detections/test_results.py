"""Results files, and metrics as a table and as JSON."""

import json
import math

import numpy as np
import pytest

from detkit.detections.results import load_results, save_results
from detkit.errors import DataError
from detkit.evaluate import format_table, metrics_to_json
from support.evaluation import Dataset, detected, square


@pytest.fixture
def dataset():
    return Dataset({7: [(square(0), 0)], "b": [], 9: []})


def refused(path, dataset, content=None):
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError) as caught:
        load_results(path, dataset)
    assert str(path) in str(caught.value)
    return str(caught.value)


def entry(**changes):
    return {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, **changes}


def test_results_survive_the_file(dataset, tmp_path):
    path = tmp_path / "results.json"
    rows = (((1.5, 2, 4.25, 6), 0.875, 2), (square(3), 0.1, 0))
    save_results(path, {7: detected(*rows), "b": detected((square(1), 0.3, 1))}, dataset)
    entries = json.loads(path.read_text())
    assert entries[0] == {
        "image_id": 7,
        "category_id": 3,
        "bbox": [1.5, 2.0, 2.75, 4.0],
        "score": 0.875,
    }
    loaded = load_results(path, dataset)
    assert list(loaded) == [7, "b", 9]
    found = loaded[7]
    assert found == detected(*rows)
    types = [array.dtype for array in (found.boxes, found.scores, found.labels)]
    assert types == [np.float32, np.float32, np.int32]
    assert loaded[9].boxes.shape == (0, 4)
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_the_datasets_own_category_ids_are_used(dataset, tmp_path):
    dataset.category_ids = (1, 18, 90)
    path = tmp_path / "results.json"
    save_results(path, {7: detected((square(0), 0.5, 2))}, dataset)
    assert json.loads(path.read_text())[0]["category_id"] == 90
    assert load_results(path, dataset)[7].labels.tolist() == [2]
    message = refused(path, dataset, [entry(category_id=2)])
    assert "category_id: " in message
    assert "1, 18, 90, found 2" in message


def test_results_are_loaded_best_first(dataset, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([entry(score=s, segmentation=[]) for s in (0.2, 0.9, 0.4)]))
    np.testing.assert_allclose(load_results(path, dataset)[7].scores, [0.9, 0.4, 0.2])


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"image_id": 8}, ["image_id: ", "such as 7", "found 8"]),
        ({"image_id": "7"}, ["image_id: ", "found '7'"]),
        ({"image_id": [7]}, ["image_id: ", "found [7]"]),
        ({"category_id": 4}, ["category_id: ", "1, 2, 3, found 4"]),
        ({"category_id": True}, ["category_id: ", "found True"]),
        ({"bbox": [1, 2, 3]}, ["bbox: ", "x, y, width, height", "found [1, 2, 3]"]),
        ({"bbox": [1, 2, "3", 4]}, ["bbox: ", "finite numbers", "'3'"]),
        ({"bbox": [1, 2, 1e60, 4]}, ["bbox: ", "finite numbers", "1e+60"]),
        ({"bbox": [1, 2, -3, 4]}, ["bbox: ", "at least 0", "found [1, 2, -3, 4]"]),
        ({"score": "high"}, ["score: ", "finite number", "found 'high'"]),
        ({"score": None}, ["score: ", "found None"]),
    ],
)
def test_a_wrong_entry_is_named(dataset, tmp_path, changes, fragments):
    message = refused(tmp_path / "r.json", dataset, [entry(), entry(**changes)])
    for fragment in ("entry 1: ", *fragments):
        assert fragment in message


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("", ["JSON"]),
        ("<html>", ["JSON"]),
        ("[" * 100000, ["JSON"]),
        ('{"annotations": []}', ["list of results", "found dict"]),
        ('[{"score": NaN}]', ["found NaN"]),
        ("[3]", ["entry 0: ", "image_id", "found int"]),
        ('[{"score": 1, "box": 2}]', ["entry 0: ", "bbox, found score, box"]),
    ],
)
def test_what_is_no_results_file_is_said(dataset, tmp_path, content, fragments):
    message = refused(tmp_path / "r.json", dataset, content)
    for fragment in fragments:
        assert fragment in message


def test_files_that_cannot_be_read_or_written_are_said(dataset, tmp_path):
    assert "No such file" in refused(tmp_path / "missing.json", dataset)
    (tmp_path / "latin.json").write_bytes(b'["\xff"]')
    assert "JSON" in refused(tmp_path / "latin.json", dataset)
    with pytest.raises(DataError, match="no/folder.json: .*No such file"):
        save_results(tmp_path / "no" / "folder.json", {}, dataset)


def test_the_table_shows_percent_and_a_dash_without_truth():
    per_class = {"cat": 0.5, "aeroplane": math.nan}
    table = format_table({"AP": 0.25, "AP50": 1.0, "per_class": per_class})
    assert table.splitlines() == [
        "class      AP50 %",
        "-----------------",
        "cat          50.0",
        "aeroplane       -",
        "-----------------",
        "AP           25.0",
        "AP50        100.0",
    ]


def test_metrics_become_json_with_null_for_nan():
    metrics = {"AP": np.float64(0.5), "per_class": {"cat": math.nan, "dog": np.float32(1)}}
    text = json.dumps(metrics_to_json(metrics), allow_nan=False)
    assert json.loads(text) == {"AP": 0.5, "per_class": {"cat": None, "dog": 1.0}}
