"""tools/export.py: layers of fewer bits."""

import json
import shutil
import subprocess
import sys

import cv2
import pytest

import detkit
from detkit import processor
from detkit.checkpoints import write_threshold
from detkit.errors import ExportError
from detkit.export.manifest import MANIFEST
from detkit.export.runtimes import by_mxnet
from detkit.processor import has_bfloat16
from detkit.threshold import Threshold
from support import tiny
from support.exports import export_tiny, photos
from support.graphs import needs_onednn
from support.onnx_runs import ONNX

pytestmark = [
    needs_onednn,
    pytest.mark.processor,
    pytest.mark.usefixtures("checked_by_common_build"),
]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), photos((64, 80))[0])
    return path


def test_int8_by_the_tool_and_in_a_fresh_process(finished, tmp_path, photo, monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    out = tmp_path / "out"
    assert (
        export_tiny(finished, out, "--int8", "--calib", 2, "--keep", "first", "--check", photo) == 0
    )
    printed = capsys.readouterr().out
    tiny.assert_says(
        printed, "signal/noise", "float32: backbone.", "difference from Python, of C++"
    )
    manifest = json.loads((out / MANIFEST).read_text())
    assert (manifest["precision"], manifest["int8_for"]) == ("int8", "any")
    report = json.loads((out / "quantization.json").read_text())
    assert len(report["kept"]) == 1
    program = (
        "import sys, detkit; found = detkit.load_exported(sys.argv[1]).detect(sys.argv[2]); "
        "print(len(found.boxes), found.scores.max())"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, out, photo]
    count, best = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = detkit.load_exported(out).detect(str(photo))
    assert int(count) == len(found.boxes) > 0
    assert float(best) == pytest.approx(found.scores.max(), abs=1e-6)
    assert export_tiny(finished, out) == 0
    assert not (out / "quantization.json").exists()
    assert json.loads((out / MANIFEST).read_text())["int8_for"] is None


def test_int8_keeps_the_threshold(finished, tmp_path):
    copy, threshold = tmp_path / "copy", Threshold((0.125,), "recall=0.9", "val")
    shutil.copytree(finished, copy)
    write_threshold(str(tiny.best(copy / "work")), threshold)
    assert export_tiny(copy, tmp_path / "out", "--int8", "--calib", 1) == 0
    assert detkit.load_exported(tmp_path / "out").threshold == threshold


def test_int8_for_vnni_says_so_where_there_is_none(finished, tmp_path, monkeypatch, caplog):
    out = tmp_path / "out"
    assert export_tiny(finished, out, "--int8", "--calib", 1, "--int8-for", "vnni") == 0
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["int8_for"] == "vnni"
    monkeypatch.setattr(by_mxnet, "has_vnni", lambda: True)
    detkit.load_exported(out)
    assert not caplog.records
    monkeypatch.setattr(by_mxnet, "has_vnni", lambda: False)
    detkit.load_exported(out)
    (record,) = caplog.records
    tiny.assert_says(record.getMessage(), str(out), "CPUs with VNNI", "--int8-for any")
    del manifest["int8_for"]  # as it was written before there was a choice
    (out / MANIFEST).write_text(json.dumps(manifest))
    detkit.load_exported(out)
    assert len(caplog.records) == 2


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no avx512_bf16")
def test_bfloat16_by_the_tool(finished, tmp_path, photo, monkeypatch):
    out = tmp_path / "out"
    assert export_tiny(finished, out, "--bf16") == 0
    assert json.loads((out / MANIFEST).read_text())["precision"] == "bfloat16"
    assert len(detkit.load_exported(out).detect(str(photo)).boxes) > 0
    monkeypatch.setattr(processor, "CPU_INFO", str(tmp_path / "absent"))
    with pytest.raises(ExportError, match=r"out: .*bfloat16.*avx512_bf16"):
        detkit.load_exported(out)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--calib", 2), "--calib, --calib-mode and --int8-for are for --int8"),
        (("--bf16", "--calib-mode", "naive"), "--calib-mode and --int8-for are for --int8"),
        (("--int8-for", "any"), "--int8-for are for --int8"),
        (("--int8", "--nncf"), "--nncf is for --int8 and --onnx together"),
        (("--keep", "first"), "--keep is for --int8 and --bf16"),
        (("--int8", "--bf16"), "not allowed with argument"),
        (("--int8", "--calib", 0), "expected a whole number of at least 1"),
    ],
)
def test_arguments_without_effect_are_refused(finished, tmp_path, options, said, capsys):
    with pytest.raises(SystemExit):
        export_tiny(finished, tmp_path / "out", *options)
    assert said in capsys.readouterr().err


def test_the_tool_names_the_layers_that_there_are(finished, tmp_path, capsys):
    assert export_tiny(finished, tmp_path / "out", "--int8", "--keep", "head") == 1
    message = capsys.readouterr().err
    tiny.assert_says(message, "'head'", "rpn_head.objectness", "roi_head.classes")
    assert not (tmp_path / "out").exists()


@ONNX
@needs_onednn
def test_int8_in_onnx(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    out, photo = tmp_path / "out", tmp_path / "photo.png"
    cv2.imwrite(str(photo), photos((64, 80))[0])
    options = ("--onnx", "--int8", "--calib", 2, "--check", photo)
    assert export_tiny(finished, out, *options) == 0
    tiny.assert_says(
        capsys.readouterr().out, "model-int8.onnx", "  ONNX      boxes", "  ONNX INT8 boxes"
    )
    assert (out / "model-int8.onnx").stat().st_size > 0
    assert export_tiny(finished, out, "--onnx") == 0
    assert (out / "model.onnx").exists()
    assert not (out / "model-int8.onnx").exists()
