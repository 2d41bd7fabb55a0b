"""The hooks that report: losses in the log, pictures of detections."""

import pytest

from detkit.build import build_dataset, build_loader, open_config
from detkit.checkpoints import load_checkpoint
from detkit.data.images import decode_image
from detkit.data.pictures import batch_pictures
from detkit.detections.draw import contact_sheet
from detkit.runner.report_hooks import CELL, MOST_OF_BATCH
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
        "train-000.png",
        "train-001.png",
    ]


def test_the_first_batches_are_drawn_as_the_network_gets_them(reference, config):
    opened = open_config(config)
    dataset = build_dataset(opened, "train")
    loader = build_loader(opened, "train", dataset, 4, ("images", "sizes", "boxes", "labels"))
    for step, batch in zip(range(2), loader.batches(epoch=0)):
        expected = contact_sheet(batch_pictures(batch, dataset.class_names, MOST_OF_BATCH), 2, CELL)
        drawn = decode_image(reference / f"pictures/train-{step:03d}.png")
        assert (drawn == expected).all()


def test_pictures_of_batches_change_no_bit_and_are_not_drawn_again(config, reference, tmp_path):
    """A run without them, which is interrupted after an epoch and resumed with them."""
    run = tmp_path / "run"
    assert tiny.train(config, run, "train.batch_pictures=0", "train.epochs=1") == 0
    assert not list((run / "pictures").glob("train-*"))
    assert tiny.train(config, run, "train.batch_pictures=9", resume="auto") == 0
    drawn = sorted(path.name for path in (run / "pictures").glob("train-*"))
    assert drawn == ["train-003.png", "train-004.png", "train-005.png"]
    last = [tiny.checkpoints(each)[-1] for each in (run, reference)]
    weights = [
        load_checkpoint(str(each / "checkpoints" / name)).weights
        for each, name in zip((run, reference), last)
    ]
    assert weights[0].keys() == weights[1].keys()
    for name, array in weights[0].items():
        assert (array.asnumpy() == weights[1][name].asnumpy()).all(), name
