"""The report on the error of each layer."""

import json

import pytest

from detkit.export.precision.quantize import quantize
from support.graphs import INPUTS, KEPT, needs_onednn, traced

pytestmark = [needs_onednn, pytest.mark.processor]


def test_the_report(small_model, images):
    examples = (images((64, 80), seed=seed) for seed in range(3))
    _, _, report = quantize(*traced(small_model()), INPUTS, examples, mode="entropy")
    content = json.loads(report.text())
    assert content["mode"] == "entropy"
    assert set(content["kept"]) == KEPT
    errors = [layer["sqnr"] for layer in content["layers"]]
    assert errors == sorted(errors)
    assert {"layer": "roi_head.fc.0", "operator": "FullyConnected"}.items() <= max(
        content["layers"], key=lambda layer: layer["operator"]
    ).items()
    header, *lines, last = report.table().splitlines()
    assert [line.split()[0] for line in lines] == [layer["layer"] for layer in content["layers"]]
    assert last.startswith("float32: backbone.features.0, ")
