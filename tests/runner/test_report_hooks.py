"""The hooks that report: losses in the log, pictures of detections."""

import pytest

from support import tiny


def test_the_log_has_losses_at_every_interval(reference):
    found = tiny.records(reference, "train")
    assert [record["step"] for record in found] == [1, 2, 3, 4, 6]
    assert [record["epoch"] for record in found] == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3, 2])
    # Two steps of warm-up, then a tenth from the first epoch on.
    rates = [0.00001, 0.005005, 0.01, 0.001, 0.001]
    assert [record["lr"] for record in found] == pytest.approx(rates)
    for record in found:
        parts = [record[name] for name in ("rpn_class", "rpn_box", "roi_class", "roi_box")]
        assert record["loss"] == pytest.approx(sum(parts))
        assert 0 <= record["data_wait"] <= 1
        assert record["memory_mb"] > 0
        assert record["seconds_per_step"] > 0
    assert found[0]["eta_seconds"] is None  # its time is not the others'
    assert found[1]["eta_seconds"] > 0
    assert found[-1]["eta_seconds"] == 0


def test_each_evaluation_has_a_picture(reference):
    assert sorted(path.name for path in (reference / "pictures").iterdir()) == [
        "epoch-001.png",
        "epoch-002.png",
    ]
