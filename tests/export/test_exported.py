"""load_exported: the same detections, from files alone, and clear errors for files that are not."""

import json
import os
import subprocess
import sys

import cv2
import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.data import Resize
from detkit.errors import ExportError, ImageError
from detkit.export.manifest import PARAMETERS, SYMBOL, read_manifest
from detkit.export.outputs import check_outputs
from detkit.models.necks import FPN
from detkit.ops import backend
from detkit.ops.compile import LIBRARY
from support.environment import BACKENDS
from support.exports import KINDS, NAMES, SIZES, assert_same, exported, photos, refused, replace
from support.graphs import ops_of


@pytest.fixture
def folder(small_model, tmp_path):
    """A folder of an export."""
    exported(small_model(), tmp_path / "exported")
    return tmp_path / "exported"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ops", BACKENDS)
def test_it_finds_what_the_detector_finds(small_model, tmp_path, kind, ops):
    detector = exported(KINDS[kind](small_model), tmp_path, ops)
    loaded = detkit.load_exported(tmp_path)
    assert loaded.class_names == detector.class_names
    images = photos(*SIZES)
    for image in images:
        assert_same([loaded.detect(image)], [detector.detect(image)])
    assert_same(loaded.detect(images), detector.detect(images))


@pytest.mark.parametrize("norm", ["IN", {"type": "GN", "groups": 2}])
@pytest.mark.parametrize("ops", BACKENDS)
def test_norms_that_depend_on_the_image_are_no_part_of_a_convolution(
    small_model, tmp_path, ops, norm
):
    neck = FPN([8], [8], channels=8, extra="none", norm=norm)
    detector = exported(small_model(neck=neck), tmp_path, ops)
    assert ops_of(mx.sym.load(str(tmp_path / SYMBOL))).count("GroupNorm") == 2
    images = photos(*SIZES)
    for fuse in (False, True):
        loaded = detkit.load_exported(tmp_path, device="cpu", fuse=fuse)
        assert_same(loaded.detect(images), detector.detect(images))


@pytest.mark.parametrize("like", [None, "torchvision", "detectron2", "gluoncv"])
def test_images_are_resized_as_the_config_says(small_model, tmp_path, like):
    detector = exported(small_model(), tmp_path, transforms=[Resize(37, 90, like=like)])
    loaded = detkit.load_exported(tmp_path)
    images = photos((61, 87), (51, 200))
    expected, found = detector.batch(images), loaded.batch(images)
    for name in ("images", "sizes", "scales"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_images_as_they_are(small_model, tmp_path):
    detector = exported(small_model(), tmp_path, transforms=[])
    images = photos(*SIZES)
    assert_same(detkit.load_exported(tmp_path).detect(images), detector.detect(images))


def test_a_background_among_the_names(small_model, tmp_path):
    names = ("__background__", *NAMES)
    detector = exported(small_model(), tmp_path, names=names, first_label=1)
    (image,) = photos((64, 80))
    found = detkit.load_exported(tmp_path).detect(image)
    assert_same([found], [detector.detect(image)])
    assert found.labels.min() >= 1


def test_fused_it_finds_the_same(small_model, tmp_path):
    detector = exported(KINDS["MaskRCNN"](small_model), tmp_path)
    loaded = detkit.load_exported(tmp_path, device="cpu", fuse=True)
    for images in (photos((64, 80)), photos(*SIZES), photos((64, 80))):
        assert_same(loaded.detect(images), detector.detect(images))


@pytest.mark.parametrize("kind", ["FasterRCNN", "MaskRCNN", "KeypointRCNN"])
def test_outputs_of_other_shapes_or_of_no_numbers_are_refused(small_model, tmp_path, kind):
    detector = exported(KINDS[kind](small_model), tmp_path)
    manifest = read_manifest(tmp_path)
    outputs = detector.model(mx.nd.ones((2, 3, 64, 64)), mx.nd.array([[64, 64]] * 2))
    right = [output.asnumpy() for output in outputs]
    check_outputs(right, 2, manifest)
    for number, array in enumerate(right):
        wrong = [*right[:number], array[..., :-1], *right[number + 1 :]]
        with pytest.raises(ExportError, match="outputs: expected boxes"):
            check_outputs(wrong, 2, manifest)
    if kind == "KeypointRCNN":
        right[3][(right[1] >= 0).nonzero()[0][0], 0, 1] = np.nan
        with pytest.raises(ExportError, match="expected finite boxes, scores and heatmaps"):
            check_outputs(right, 2, manifest)


def test_names_of_files_and_no_image_at_all(folder, tmp_path):
    loaded = detkit.load_exported(str(folder))
    (image,) = photos((64, 80))
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert_same([loaded.detect(path)], [loaded.detect(image)])
    assert loaded.detect([]) == []
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(ImageError, match="text.jpg: .*JPEG.*8 bytes"):
        loaded.detect(tmp_path / "text.jpg")


# --- A process of its own -------------------------------------------------------------------------

ALONE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("yaml", "pycocotools", "defusedxml", "tqdm", "gluoncv"):
            raise ImportError(name)

sys.meta_path.insert(0, Absent())
import numpy as np
import detkit

image = np.arange(64 * 80 * 3, dtype=np.uint64).reshape(64, 80, 3).astype("uint8")
found = detkit.load_exported(sys.argv[1]).detect(image)
assert detkit.load(sys.argv[1]).detect(image) == found
assert found.masks.shape == (len(found.boxes), 64, 80)
wrong = ("models", "registry", "config", "build", "detector", "weights", "runner", "targets")
assert not [name for name in wrong if "detkit." + name in sys.modules]
print(found.boxes.tolist())
"""


@pytest.mark.parametrize("ops", BACKENDS)
def test_mxnet_numpy_and_opencv_are_enough(small_model, tmp_path, ops):
    detector = exported(KINDS["MaskRCNN"](small_model), tmp_path, ops)
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", ALONE, tmp_path],
        capture_output=True,
        text=True,
        # nothing is compiled either
        env={"DETKIT_CACHE": str(tmp_path / "none"), "PATH": "", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    image = np.arange(64 * 80 * 3, dtype=np.uint64).reshape(64, 80, 3).astype("uint8")
    boxes = np.array(json.loads(done.stdout), "float32")
    np.testing.assert_allclose(boxes, detector.detect(image).boxes, rtol=0, atol=0.01)


THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor

import detkit
import numpy as np

image = np.arange(64 * 80 * 3, dtype=np.uint64).reshape(64, 80, 3).astype("uint8")
images = [image, image[:48, :64]]
detectors = [detkit.load_exported(sys.argv[1], device="cpu") for _ in range(3)]
expected = [detectors[0].detect(image) for image in images]
assert all(len(found.boxes) for found in expected)

def work(detector):
    return [detector.detect(image) for image in images * 10]

with ThreadPoolExecutor(len(detectors)) as threads:
    for taken in threads.map(work, detectors):
        for found, same in zip(taken, expected * 10):
            for name in ("boxes", "scores", "labels", "masks"):
                np.testing.assert_array_equal(getattr(found, name), getattr(same, name))
"""


def test_detectors_in_threads_of_one_process(small_model, tmp_path):
    exported(KINDS["MaskRCNN"](small_model), tmp_path)
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "MXNET_CPU_WORKER_NTHREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", THREADS, tmp_path], capture_output=True, text=True, env=variables
    )
    assert done.returncode == 0, done.stderr


# --- Files that are not what was written ----------------------------------------------------------


@pytest.mark.parametrize(("name", "said"), [(SYMBOL, "'nodes'"), (PARAMETERS, "mx.nd.save")])
def test_files_that_are_no_network(folder, name, said):
    replace(folder, name, b"{}")
    refused(folder, f"{folder}/{name}: ", said, "export it again")


def test_files_that_mxnet_cannot_read(folder):
    graph = json.loads((folder / SYMBOL).read_text())
    next(node for node in graph["nodes"] if node["op"] == "Convolution")["attrs"]["colour"] = "1"
    replace(folder, SYMBOL, json.dumps(graph).encode(), mxnet="2.0")
    refused(folder, f"{SYMBOL}: ", f"MXNet {mx.__version__}", "MXNet 2.0")


def test_files_that_mxnet_cannot_run(folder):
    graph = json.loads((folder / SYMBOL).read_text())
    node = next(node for node in graph["nodes"] if node["op"] == "transpose")
    node["attrs"]["axes"] = "(0, 1)"
    replace(folder, SYMBOL, json.dumps(graph).encode())
    with pytest.raises(ExportError) as caught:
        detkit.load_exported(folder).detect(photos((64, 80))[0])
    assert f"{SYMBOL}: MXNet {mx.__version__} cannot run it" in str(caught.value)


def test_parameters_of_another_network(folder, tmp_path):
    mx.nd.save(str(tmp_path / "other"), {"arg:other": mx.nd.ones(1)})
    replace(folder, PARAMETERS, (tmp_path / "other").read_bytes())
    refused(folder, f"{SYMBOL}: the variable ", "in the parameter file")


def test_a_library_that_mxnet_cannot_load(small_model, tmp_path, monkeypatch, built_library):
    exported(small_model(), tmp_path, "native")
    replace(tmp_path, LIBRARY, b"nothing")
    monkeypatch.setattr(backend.state, "loaded", None)
    refused(tmp_path, f"{tmp_path}/{LIBRARY}: ", "--ops mxnet")


def test_a_process_has_one_library(small_model, tmp_path, caplog, built_library):
    exported(small_model(), tmp_path, "native")
    detkit.load_exported(tmp_path)
    assert not caplog.messages
    replace(tmp_path, LIBRARY, b"of another compiler")
    detkit.load_exported(tmp_path)
    (message,) = caplog.messages
    assert f"{tmp_path}/{LIBRARY}: " in message
    assert built_library in message


def test_fusion_is_for_cpus_with_onednn(folder, monkeypatch):
    monkeypatch.setattr(mx.runtime.Features, "is_enabled", lambda self, name: False)
    refused(folder, f"{folder}: ", "fuse=True", "CPU", "oneDNN", "leave it out", fuse=True)
