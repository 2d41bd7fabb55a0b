"""Export: the graph's operators, files that say what they are, and the tool."""

import json
import os
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.config import load_config
from detkit.data import HorizontalFlip, Resize
from detkit.errors import ExportError
from detkit.export.manifest import MANIFEST, PARAMETERS, SYMBOL
from detkit.export.symbol import export, trace
from detkit.files.disk import sha256_of
from detkit.models import FasterRCNN, FastRCNN, Postprocess
from detkit.models.suppression import GaussianNMS, LinearNMS
from detkit.ops.compile import LIBRARY
from support.exports import KINDS, detector_of, exported, photos
from support.graphs import LOOPS, ops_of

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


@pytest.mark.parametrize("kind", [LinearNMS, GaussianNMS])
def test_soft_nms_makes_no_loop(small_model, kind):
    """MXNet may read the results of a loop in a graph too early: see detkit/ops/README.md."""
    model = small_model(postprocess=Postprocess(0.2, 0.3, max_detections=12, nms=kind()))
    graph, _ = trace(model, "mxnet")
    assert "argmax" in {node.op for node in graph.nodes()}  # a step of soft-NMS
    assert not LOOPS & {node.op for node in graph.nodes()}


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
        "threshold": None,
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
    with pytest.raises(ExportError, match=f"{tmp_path}: .*No space left"):
        exported(small_model(seed=1), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


@pytest.mark.parametrize("content", [None, "{}", '{"format": 7}'])
def test_nothing_else_is_replaced(small_model, tmp_path, content):
    name = "photo.png" if content is None else MANIFEST
    (tmp_path / name).write_text(content or "")
    message = f"{tmp_path}: .*{name}.*nothing is replaced"
    with pytest.raises(ExportError, match=message):
        exported(small_model(), tmp_path)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        ([HorizontalFlip()], "HorizontalFlip.* Resize"),
        ([Resize(40, 96), HorizontalFlip()], "HorizontalFlip.* Resize"),
        ([Resize((40, 50), 96)], "the transform Resize .*to one size"),
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
    with pytest.raises(ExportError, match="a MaskedRCNN: .*proposal_scores, masks"):
        exported(model, tmp_path)


def test_a_config_with_other_operators_is_exported_with_those_asked_for(finished, tmp_path):
    config = load_config(finished / "configs/tiny.yaml", ["ops=mxnet"])
    detector = detkit.load(config, finished / "work/checkpoints/best")
    export(detector, str(tmp_path), "mxnet")
    assert "detkit_nms" not in ops_of(mx.sym.load(str(tmp_path / SYMBOL)))
