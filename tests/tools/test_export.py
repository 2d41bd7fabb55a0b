"""tools/export.py: what it writes, compares and refuses."""

import json
import shutil

import cv2
import pytest

import detkit
from detkit import shipped
from detkit.commands.export import deploy_folders
from detkit.export.graph.simplify import simplify
from detkit.export.manifest import MANIFEST, SYMBOL
from detkit.files.disk import sha256_of
from support import tiny
from support.exports import photos
from support.onnx_runs import ONNX

pytestmark = pytest.mark.processor


@pytest.fixture
def without_cmake(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), photos((64, 80))[0])
    return path


def run(finished, out, *options):
    arguments = (finished / "configs/tiny.yaml", finished / "work/checkpoints/best", "--out", out)
    return arguments, tiny.tool("export", *arguments, *options)


def test_the_tool_exports_and_checks(finished, tmp_path, photo, without_cmake, capsys):
    out = tmp_path / "out"
    floor = "model.postprocess.score_floor=0"
    assert run(finished, out, "--ops", "mxnet", "--check", photo, "--set", floor)[1] == 0
    printed = capsys.readouterr().out
    tiny.assert_says(printed, f"written: {out}/{SYMBOL}, ", "C++: not compared", "1 images, 96 det")
    assert "symbol   boxes " in printed
    content = json.loads((out / MANIFEST).read_text())
    weights = tiny.best(finished / "work") / "weights.params"
    expected = {"config": "tiny.yaml", "checkpoint_sha256": sha256_of(weights)}
    assert content["source"] == expected
    classes = tiny.validation_set(finished / "configs/tiny.yaml").class_names
    assert detkit.load_exported(out).class_names == tuple(classes)


def test_a_run_is_named_alone(finished, tmp_path, capsys):
    assert tiny.tool("export", finished / "work", "--out", tmp_path / "out") == 0
    source = json.loads((tmp_path / "out" / MANIFEST).read_text())["source"]
    assert source["checkpoint_sha256"] == sha256_of(tiny.best(finished / "work") / "weights.params")
    assert tiny.tool("export", tmp_path / "out", "--out", tmp_path / "again") == 1
    tiny.assert_says(capsys.readouterr().err, f"{tmp_path}/out: expected the folder of a run")


@ONNX
def test_the_tool_writes_and_checks_onnx(finished, tmp_path, photo, monkeypatch, capsys):
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "cmake" else which(name))
    out, floor = tmp_path / "out", "model.postprocess.score_floor=0"
    assert run(finished, out, "--onnx", "--check", photo, "--set", floor)[1] == 0
    printed = capsys.readouterr().out
    assert f"written: {out}/model.onnx, " in printed
    assert "  ONNX     boxes " in printed
    assert run(finished, out, "--check", photo)[1] == 0  # that of the earlier export is gone
    assert not (out / "model.onnx").exists()
    assert "ONNX" not in capsys.readouterr().out


def test_the_tool_refuses_what_differs(
    finished, tmp_path, photo, without_cmake, monkeypatch, capsys
):
    def simplify_wrongly(graph, parameters):
        kept = simplify(graph, parameters)
        return {name: array * 1.01 for name, array in kept.items()}

    monkeypatch.setattr("detkit.export.symbol.simplify", simplify_wrongly)
    floor = "model.postprocess.score_floor=0"
    assert (
        run(finished, tmp_path / "out", "--ops", "mxnet", "--check", photo, "--set", floor)[1] == 1
    )
    message = capsys.readouterr().err
    tiny.assert_says(message, "error: symbol", "boxes 0.01 px, scores 0.0001", "found boxes ")


@pytest.mark.skipif(not shipped.in_checkout(), reason="detkit is imported from elsewhere")
def test_the_program_of_a_checkout_is_built_in_it():
    assert deploy_folders() == (tiny.ROOT / "tools/deploy", tiny.ROOT / "build/deploy")


def test_the_tool_says_where_a_transform_is(finished, tmp_path, capsys):
    flip = "data.val_transforms=[{type: Photometric}]"
    assert run(finished, tmp_path / "out", "--set", flip)[1] == 1
    message = capsys.readouterr().err
    tiny.assert_says(message, "--set data.val_transforms", "the transform Photometric")


def test_the_tool_looks_at_its_arguments_first(finished, tmp_path, photo, capsys):
    (tmp_path / "text.jpg").write_text("no image")
    out = tmp_path / "out"
    for options, said in (
        (("--check", tmp_path / "absent.png"), "absent.png: no such file"),
        (("--check", tmp_path / "text.jpg"), "text.jpg: "),
    ):
        assert run(finished, out, *options)[1] == 1
        assert said in capsys.readouterr().err
        assert not out.exists()
    assert run(finished, tmp_path)[1] == 1
    assert "nothing is replaced" in capsys.readouterr().err
