"""A Fast R-CNN as files: it takes its proposals with the image, in Python and in ONNX."""

import json
import shutil
import subprocess

import mxnet as mx
import pytest

import detkit
from detkit.errors import DataError
from detkit.export.manifest import MANIFEST, SYMBOL
from detkit.models import FastRCNN
from support.environment import BACKENDS
from support.exports import assert_same, boxes_in, exported, photos

SIZES = (64, 80), (50, 96)


@pytest.fixture
def model(small_model):
    whole = small_model()
    return FastRCNN(**{name: getattr(whole, name) for name in FastRCNN.PARTS})


@pytest.mark.parametrize("ops", BACKENDS)
def test_it_finds_what_the_detector_finds(model, tmp_path, ops):
    detector = exported(model, tmp_path, ops)
    loaded, images = detkit.load_exported(tmp_path), photos(*SIZES)
    given = boxes_in(images)
    assert loaded.takes_proposals
    assert_same(loaded.detect(images, given), detector.detect(images, given))
    alone = loaded.detect(images[0], given[0])
    assert_same([alone], [detector.detect(images[0], given[0])])


def test_the_manifest_names_its_inputs(model, tmp_path):
    exported(model, tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text())
    assert content["inputs"] == ["images", "sizes", "proposals", "proposal_scores"]
    assert content["outputs"][0] == {"name": "boxes", "shape": ["B", 12, 4]}
    assert set(content["inputs"]) < set(mx.sym.load(str(tmp_path / SYMBOL)).list_inputs())


def test_proposals_that_are_missing_or_not_wanted(model, small_model, tmp_path):
    exported(model, tmp_path / "fast")
    exported(small_model(), tmp_path / "faster")
    fast, faster = (detkit.load_exported(tmp_path / name) for name in ("fast", "faster"))
    images = photos(*SIZES)
    with pytest.raises(DataError, match="proposals: .*2.*none"):
        fast.detect(images)
    with pytest.raises(DataError, match="proposals: .*own proposals"):
        faster.detect(images, boxes_in(images))
    assert not faster.takes_proposals


@pytest.mark.skipif(not shutil.which("cmake"), reason="there is no cmake")
def test_the_cpp_program_refuses_it(model, tmp_path, build):
    exported(model, tmp_path / "fast")
    (tmp_path / "a.ppm").write_bytes(b"P6 2 2 255\n" + bytes(12))
    words = [build / "detect", tmp_path / "fast", tmp_path / "a.ppm"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"detect: {tmp_path / 'fast' / MANIFEST}: inputs has proposals" in done.stderr
    assert "detkit.load_exported" in done.stderr
