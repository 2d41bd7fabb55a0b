"""load_exported: the same detections, from files alone, and clear errors for files that are not."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import BACKENDS
from exports import KINDS, NAMES, SIZES, assert_same, exported, photos

import detkit
from detkit.data import Resize
from detkit.errors import ExportError, ImageError
from detkit.export.manifest import MANIFEST, PARAMETERS, SYMBOL


@pytest.fixture(scope="module")
def original(tmp_path_factory, small_model_of_module):
    """A folder of an export, not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    exported(small_model_of_module(), folder)
    return folder


@pytest.fixture(scope="module")
def small_model_of_module():
    from conftest import _build

    return _build


@pytest.fixture
def folder(original, tmp_path):
    """A copy of it."""
    return shutil.copytree(original, tmp_path / "copy")


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


def test_names_of_files_and_no_image_at_all(folder, tmp_path):
    loaded = detkit.load_exported(str(folder))
    (image,) = photos((64, 80))
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert_same([loaded.detect(path)], [loaded.detect(image)])
    assert loaded.detect([]) == []
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(ImageError, match="text.jpg: 8 bytes that are no image"):
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
        env={"DETKIT_CACHE": str(tmp_path / "none"), "PATH": ""},  # nothing is compiled either
    )
    assert done.returncode == 0, done.stderr
    image = np.arange(64 * 80 * 3, dtype=np.uint64).reshape(64, 80, 3).astype("uint8")
    boxes = np.array(json.loads(done.stdout), "float32")
    np.testing.assert_allclose(boxes, detector.detect(image).boxes, rtol=0, atol=0.01)


# --- Files that are not what was written -----------------------------------------------------------


def refused(folder, *fragments, **options):
    with pytest.raises(ExportError) as caught:
        detkit.load_exported(folder, **options)
    for fragment in fragments:
        assert fragment in str(caught.value)


def rewrite(folder, **changes):
    """Change model.json; a change to None removes the key."""
    path = folder / MANIFEST
    content = {**json.loads(path.read_text()), **changes}
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(kept))


@pytest.mark.parametrize("name", [SYMBOL, PARAMETERS])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    refused(folder, f"{folder}/{name}: cannot be read: No such file", "copy the whole folder")


@pytest.mark.parametrize("name", [SYMBOL, PARAMETERS])
def test_a_truncated_file(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    refused(folder, f"{folder}/{name}: its ", "bytes are not what was exported: sha256 ")


def test_a_folder_that_is_none(folder, tmp_path):
    refused(tmp_path / "absent", "absent/model.json: there is no such file", "tools/export.py")
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text()[:50])
    refused(folder, f"{folder}/model.json: cannot be read: ", "export it again")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "its format is 2, and this detkit reads 1"),
        ({"format": None}, "its format is None"),
        ({"classes": "cat"}, "classes: expected a list, found 'cat'"),
        ({"pad_multiple": None}, "pad_multiple: expected a whole number, found nothing"),
        ({"library": 3}, "library: expected a text or null, found 3"),
        ({"files": {SYMBOL: "0"}}, f"files: {PARAMETERS} is missing"),
        ({"files": {SYMBOL: "0", PARAMETERS: "0", "../x": "0"}}, "found '../x': '0'"),
    ],
)
def test_a_manifest_that_is_wrong(folder, changes, said):
    content = json.loads((folder / MANIFEST).read_text())
    rewrite(folder, **changes)
    if "library" not in changes and "library" in content and content["library"] is None:
        content = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps({"library": None, **content}))
    refused(folder, f"{folder}/model.json: ", said)


@pytest.mark.parametrize("name", [SYMBOL, PARAMETERS])
def test_files_that_mxnet_cannot_read(folder, name):
    (folder / name).write_bytes(b"{}")
    content = json.loads((folder / MANIFEST).read_text())
    from detkit.export.manifest import sha256_of

    content["files"][name] = sha256_of(folder / name)
    (folder / MANIFEST).write_text(json.dumps({**content, "mxnet": "2.0"}))
    refused(folder, "cannot read it, MXNet 2.0 wrote it: ")


def test_a_library_that_mxnet_cannot_load(small_model, tmp_path, monkeypatch, built_library):
    from detkit.export.manifest import sha256_of
    from detkit.ops import backend

    exported(small_model(), tmp_path, "native")
    library = tmp_path / "libdetkit_ops.so"
    library.write_bytes(b"nothing")
    content = json.loads((tmp_path / MANIFEST).read_text())
    content["files"][library.name] = sha256_of(library)
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    monkeypatch.setattr(backend, "_loaded", None)
    refused(tmp_path, f"MXNet cannot load {library}: ", "export with --ops mxnet")
