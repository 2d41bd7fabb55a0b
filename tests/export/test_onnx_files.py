"""An .onnx from a stranger or from a damaged disk, and the entries of its metadata."""

import copy
import json

import pytest

import detkit
from detkit.errors import ExportError
from detkit.export.onnx_files import read_onnx, write_metadata
from detkit.export.onnx_manifest import KEY, read_onnx_manifest, write_onnx_threshold
from detkit.threshold import Threshold
from support import hostile_onnx as hostile
from support.exports import detector_of, photos
from support.onnx_runs import ONNX
from support.small import build

pytestmark = ONNX


@pytest.fixture(scope="module")
def model():
    """The onnx.ModelProto of a detector, as it is written."""
    from detkit.export.onnx import convert

    return convert(detector_of(build()))


@pytest.fixture
def path(model, tmp_path):
    """The file of the model, which a test may change."""
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "a.onnx"


def refused(path, *fragments):
    with pytest.raises(ExportError) as caught:
        detkit.load(path, runtime="onnxruntime")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    for fragment in fragments:
        assert fragment in message


def test_the_metadata_is_that_of_the_package_onnx(model, path):
    expected = {entry.key.encode(): entry.value.encode() for entry in model.metadata_props}
    assert read_onnx(path).metadata == expected
    content = json.loads(expected[KEY.encode()])
    assert content["resize"] == {"short": 40, "long": 96, "like": None}
    assert [output["shape"] for output in content["outputs"]] == [
        ["B", 12, 4],
        ["B", 12],
        ["B", 12],
    ]


def test_entries_are_written_and_all_else_stays(model, path):
    onnx = pytest.importorskip("onnx")
    write_metadata(path, {b"classes": b"[1]", b"new": b"x" * 300})
    found = onnx.load(str(path))
    about = {entry.key: entry.value for entry in found.metadata_props}
    assert (about["classes"], about["new"]) == ("[1]", "x" * 300)
    assert found.graph == model.graph
    assert len(found.metadata_props) == len(model.metadata_props) + 1


def test_a_threshold_is_written(path):
    chosen = Threshold((0.25,), "f1", "val")
    write_onnx_threshold(path, chosen)
    assert read_onnx_manifest(path)[0].chosen == chosen
    assert json.loads(read_onnx(path).metadata[b"threshold"]) == chosen.to_json()
    loaded = detkit.load(path, runtime="onnxruntime")
    assert loaded.threshold == chosen
    assert loaded.detect(photos((64, 80))[0]).scores.min() >= 0.25


@pytest.mark.parametrize("case", hostile.MANIFESTS)
def test_values_of_the_manifest(model, path, case):
    change, fragments = hostile.MANIFESTS[case]
    content = json.loads(hostile.text_of(model))
    change(content)
    path.write_bytes(hostile.with_text(model, json.dumps(content)).SerializeToString())
    refused(path, f"metadata {KEY!r}", *fragments)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "format": 1}', "[" * 100_000]
)
def test_texts_of_the_manifest(model, path, text):
    path.write_bytes(hostile.with_text(model, text).SerializeToString())
    refused(path, f"metadata {KEY!r}")


@pytest.mark.parametrize("case", hostile.GRAPHS)
def test_graphs(model, path, case):
    change, fragment = hostile.GRAPHS[case]
    changed = copy.deepcopy(model)
    change(changed)
    path.write_bytes(changed.SerializeToString())
    refused(path, fragment)


def test_damaged_files(path, tmp_path):
    data = path.read_bytes()
    for share in (0, 1, 5, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:share])
        refused(path, "expected a model of ONNX", f"found {share} bytes")
    for other in (b"\xff" * 100, b"PK\x03\x04" * 9, b"<html></html>", b"\x3a\xff\xff\xff\xff\x7f"):
        path.write_bytes(other)
        refused(path, "expected a model of ONNX")
    refused(tmp_path / "none.onnx", "cannot be read")
