"""Export: the graph's operators, files that say what they are, and the tool."""

import json
import os
import shutil
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.config import load_config
from detkit.data import HorizontalFlip, Resize
from detkit.detections import Detections
from detkit.errors import ExportError
from detkit.export.check import Difference, compare
from detkit.export.graph.simplify import simplify
from detkit.export.manifest import MANIFEST, PARAMETERS, SYMBOL
from detkit.export.symbol import export
from detkit.files.disk import sha256_of
from detkit.models import FasterRCNN, FastRCNN
from detkit.ops.compile import LIBRARY
from support import tiny
from support.exports import KINDS, detector_of, exported, photos
from support.graphs import ops_of
from support.onnx_runs import ONNX

pytestmark = pytest.mark.processor


@pytest.mark.parametrize("kind", KINDS)
def test_mxnets_operators_alone(small_model, tmp_path, kind):
    exported(KINDS[kind](small_model), tmp_path)
    symbol = mx.sym.load(str(tmp_path / SYMBOL))
    ops = set(ops_of(symbol))
    assert not [op for op in ops if "detkit" in op or op in ("Custom", "BatchNorm")]
    parameters = mx.nd.load(str(tmp_path / PARAMETERS))
    assert {name[4:] for name in parameters} | {"images", "sizes"} == set(symbol.list_inputs())
    assert not (tmp_path / LIBRARY).exists()


def test_detkits_operators_bring_their_library(small_model, tmp_path, built_library):
    exported(small_model(), tmp_path, "native")
    assert {"detkit_proposals", "detkit_nms"} < set(ops_of(mx.sym.load(str(tmp_path / SYMBOL))))
    assert (tmp_path / LIBRARY).read_bytes() == Path(built_library).read_bytes()


class Shuffled(FasterRCNN):
    """A detector with an operator that no folder of an export may have."""

    def hybrid_forward(self, F, images, sizes, **parameters):
        return super().hybrid_forward(F, F.shuffle(images), sizes, **parameters)


def test_other_operators_cannot_be_exported(small_model, tmp_path):
    with pytest.raises(ExportError) as caught:
        exported(small_model(kind=Shuffled), tmp_path)
    assert "'_shuffle'" in str(caught.value) and "operators.inc" in str(caught.value)
    assert not list(tmp_path.iterdir())


# --- model.json and the folder --------------------------------------------------------------------


def test_model_json_says_what_a_reader_needs(small_model, tmp_path):
    resize = [Resize(40, 96, like="torchvision")]
    detector = detector_of(KINDS["MaskRCNN"](small_model), resize)
    export(detector, str(tmp_path), "mxnet", checkpoint_sha256="abc")
    content = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    files = content.pop("files")
    assert content == {
        "format": 1,
        "detkit": detkit.__version__,
        "mxnet": mx.__version__,
        "classes": ["cat", "dog", "cow"],
        "first_label": 0,
        "inputs": ["images", "sizes"],
        "outputs": [
            {"name": "boxes", "shape": ["B", 12, 4]},
            {"name": "scores", "shape": ["B", 12]},
            {"name": "labels", "shape": ["B", 12]},
            {"name": "masks", "shape": ["B", 12, 8, 8]},
        ],
        "resize": {"short": 40, "long": 96, "like": "torchvision"},
        "pad_multiple": 16,
        "ops": "mxnet",
        "library": None,
        "precision": "float32",
        "int8_for": None,
        "source": {"config": None, "checkpoint_sha256": "abc"},
    }
    assert files == {name: sha256_of(tmp_path / name) for name in (SYMBOL, PARAMETERS)}
    assert sorted(os.listdir(tmp_path)) == sorted([MANIFEST, SYMBOL, PARAMETERS])


def test_an_earlier_export_is_replaced(small_model, tmp_path, built_library):
    exported(small_model(), tmp_path, "native")
    (tmp_path / "notes.txt").write_text("ours")
    detector = exported(small_model(seed=1), tmp_path, "mxnet")
    assert not (tmp_path / LIBRARY).exists()
    assert (tmp_path / "notes.txt").read_text() == "ours"
    (image,) = photos((64, 80))
    found = detkit.load_exported(tmp_path).detect(image)
    np.testing.assert_allclose(found.boxes, detector.detect(image).boxes, rtol=0, atol=0.01)


def test_a_disk_that_is_full_leaves_the_earlier_export(small_model, tmp_path, monkeypatch):
    exported(small_model(), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}

    def full(*arguments):
        raise mx.MXNetError("...\nNo space left on device")

    monkeypatch.setattr(mx.nd, "save", full)
    with pytest.raises(ExportError, match=f"{tmp_path}: cannot be written: No space left"):
        exported(small_model(seed=1), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


@pytest.mark.parametrize("content", [None, "{}", '{"format": 7}'])
def test_nothing_else_is_replaced(small_model, tmp_path, content):
    name = "photo.png" if content is None else MANIFEST
    (tmp_path / name).write_text(content or "")
    message = f"{tmp_path}: holds {name} and is no earlier export .*; nothing is replaced"
    with pytest.raises(ExportError, match=message):
        exported(small_model(), tmp_path)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        ([HorizontalFlip()], "the transform HorizontalFlip cannot be exported"),
        ([Resize(40, 96), HorizontalFlip()], "the transform HorizontalFlip cannot be exported"),
        ([Resize((40, 50), 96)], "the transform Resize cannot be exported: .* to one size"),
    ],
)
def test_only_resizing_can_be_exported(small_model, tmp_path, transforms, said):
    with pytest.raises(ExportError, match=said):
        exported(small_model(), tmp_path / "out", transforms=transforms)
    assert not (tmp_path / "out").exists()


class MaskedRCNN(FastRCNN):
    """A network that is given masks as well."""

    INPUTS = (*FastRCNN.INPUTS, "masks")


def test_other_inputs_than_images_and_proposals_cannot_be_exported(small_model, tmp_path):
    model = small_model()
    model = MaskedRCNN(**{name: getattr(model, name) for name in FastRCNN.PARTS})
    with pytest.raises(ExportError, match="a MaskedRCNN takes images, .* proposal_scores, masks; "):
        exported(model, tmp_path)


# --- The tool -------------------------------------------------------------------------------------


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
    weights = finished / "work/checkpoints/best/weights.params"
    expected = {"config": "tiny.yaml", "checkpoint_sha256": sha256_of(weights)}
    assert content["source"] == expected
    classes = tiny.validation_set(finished / "configs/tiny.yaml").class_names
    assert detkit.load_exported(out).class_names == tuple(classes)


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


def test_the_tool_says_where_a_transform_is(finished, tmp_path, capsys):
    flip = "data.val_transforms=[{type: Photometric}]"
    assert run(finished, tmp_path / "out", "--set", flip)[1] == 1
    message = capsys.readouterr().err
    tiny.assert_says(message, "--set data.val_transforms", "the transform Photometric cannot be")


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


def test_a_config_with_other_operators_is_exported_with_those_asked_for(finished, tmp_path):
    config = load_config(finished / "configs/tiny.yaml", ["ops=mxnet"])
    detector = detkit.load(config, finished / "work/checkpoints/best")
    export(detector, str(tmp_path), "mxnet")
    assert "detkit_nms" not in ops_of(mx.sym.load(str(tmp_path / SYMBOL)))


# --- Comparing ------------------------------------------------------------------------------------


def detections(boxes, scores, labels):
    arrays = (np.array(boxes, "float32"), np.array(scores, "float32"), np.array(labels, "int32"))
    return Detections(*arrays, class_names=("cat", "dog"))


def test_the_difference_of_detections():
    expected = detections([[0, 0, 4, 4], [1, 1, 5, 5], [0, 0, 4, 4]], [0.9, 0.5, 0.5], [0, 0, 1])
    swapped = detections([[0, 0, 4, 4], [0, 0, 4, 4], [1, 1, 5, 5.5]], [0.9, 0.5, 0.25], [0, 1, 0])
    assert compare([expected], [expected]) == Difference()
    assert compare([expected, expected], [expected, swapped]) == Difference(0, 0.5, 0.25)
    fewer = detections([[0, 0, 4, 4]], [0.9], [0])
    elsewhere = detections([[9, 9, 13, 13]], [0.5], [0])
    assert compare([fewer], [elsewhere]) == Difference(missing=2)
    empty = detections([[3, 3, 3, 3]], [0.9], [0])
    assert compare([empty], [empty]) == Difference()
    assert compare([expected], [fewer]).missing == compare([fewer], [expected]).missing == 2


def test_what_exceeds_a_tolerance():
    assert not Difference(0, 0.01).exceeds(Difference(0, 0.01))
    assert Difference(1).exceeds(Difference())
    assert Difference(scores=float("nan")).exceeds(Difference(scores=1))
