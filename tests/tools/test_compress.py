"""tools/compress.py, and what the other tools make of its folder."""

import cv2
import pytest

import detkit
from detkit.checkpoints import load_checkpoint
from support import tiny
from support.exports import photos
from support.graphs import needs_onednn
from support.onnx_runs import ONNX

pytestmark = pytest.mark.usefixtures("checked_by_common_build")
FLOOR = ("--set", "model.postprocess.score_floor=0")


@pytest.fixture(scope="module")
def small(finished, tmp_path_factory):
    """The folder of a compressed detector."""
    out = tmp_path_factory.mktemp("small") / "run"
    assert tiny.tool("compress", *trained(finished), "--ranks", "fc6=4", "--out", out) == 0
    return out


def trained(finished):
    return finished / "work/config.yaml", finished / "work/checkpoints/best"


def own(small):
    return small / "config.yaml", small / "checkpoints/step-00000000"


def test_it_says_what_it_did_and_compares(finished, tmp_path, capsys):
    out = tmp_path / "out"
    words = (*trained(finished), "--ranks", "fc6=1.0", "--out", out, "--split", "val")
    assert tiny.tool("compress", *words) == 0
    printed = capsys.readouterr().out
    tiny.assert_says(printed, "roi_head.fc6", "16 x 144", "100.00%", "written:", str(own(out)[1]))
    rows = {line[:24].strip(): line[24:].split() for line in printed.splitlines()}
    before, after = map(float, rows["AP50"])
    assert before == pytest.approx(after, abs=0.2)  # of full rank, it finds the same
    for name in ("ms per batch", "ms, heads of 1000 RoIs"):
        assert all(float(milliseconds) > 0 for milliseconds in rows[name]), name


def test_it_is_tested_drawn_and_trained_like_any_other(small, tmp_path, capsys):
    config, checkpoint = own(small)
    assert tiny.tool("test", config, checkpoint, "--work-dir", tmp_path) == 0
    assert "AP50" in capsys.readouterr().out
    (photo,) = photos((64, 64))
    assert detkit.load(small).detect(photo) == detkit.load(config, checkpoint).detect(photo)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    words = (config, checkpoint, tmp_path / "photo.png", "--out", tmp_path / "drawn")
    assert tiny.tool("demo", *words) == 0
    assert tiny.train(config, tmp_path / "run", f"train.start_from={checkpoint}") == 0
    found = load_checkpoint(str(tmp_path / "run/checkpoints/step-00000003")).weights
    assert found["roi_head.fc.0.0.weight"].shape == (4, 144)
    before = load_checkpoint(str(checkpoint)).weights["roi_head.fc.0.0.weight"]
    changed = found["roi_head.fc.0.0.weight"].asnumpy() != before.asnumpy()
    assert changed.any()


@needs_onednn
@pytest.mark.parametrize("options", [(), ("--int8", "--calib", 2, "--keep", "first")])
def test_it_is_exported(small, tmp_path, capsys, options):
    (photo,) = photos((64, 64))
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    check = () if options else ("--check", tmp_path / "photo.png")
    words = (*own(small), "--out", tmp_path / "out", *check, *options, *FLOOR)
    assert tiny.tool("export", *words) == 0
    if options:
        assert "roi_head.fc.0.0 " in capsys.readouterr().out  # it has 8 bits
    assert tiny.tool("test", own(small)[0], tmp_path / "out") == 0


@ONNX
def test_onnx_runtime_finds_the_same(small, tmp_path, capsys):
    (photo,) = photos((64, 64))
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    words = ("--out", tmp_path / "out", "--onnx", "--check", tmp_path / "photo.png", *FLOOR)
    assert tiny.tool("export", *own(small), *words) == 0
    tiny.assert_says(capsys.readouterr().out, "model.onnx", "  ONNX")


def test_a_folder_with_a_run_is_not_replaced(finished, small, capsys):
    words = (*trained(finished), "--ranks", "fc6=4", "--out", small)
    tiny.assert_says(tiny.refused(capsys, "compress", *words), str(small / "config.yaml"))


@pytest.mark.parametrize(
    ("rank", "fragments"),
    [("fc6=17", ["--ranks fc6", "1 to 16", "17"]), ("fc7=2", ["--ranks fc7", "fc6", "'fc7'"])],
)
def test_layers_and_ranks_are_checked(finished, tmp_path, capsys, rank, fragments):
    words = (*trained(finished), "--ranks", rank, "--out", tmp_path / "out")
    tiny.assert_says(tiny.refused(capsys, "compress", *words), *fragments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["fc6", "fc6=", "=4", "fc6=0", "fc6=-1", "fc6=1.5", "fc6=half"])
def test_what_is_no_rank_is_refused(finished, tmp_path, capsys, text):
    with pytest.raises(SystemExit):
        tiny.tool("compress", *trained(finished), "--ranks", text, "--out", tmp_path / "out")
    assert repr(text) in capsys.readouterr().err
