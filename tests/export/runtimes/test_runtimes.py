"""detkit.load of an .onnx: what the detector finds, by each runtime, and without MXNet."""

import importlib.util
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

import detkit
from detkit import cli
from detkit.commands import line
from detkit.data import Resize
from detkit.errors import ConfigError, DataError, ExportError
from detkit.export.onnx import save
from detkit.export.runtimes import choice
from detkit.models import FastRCNN
from detkit.threshold import Threshold
from support.exports import KINDS, SIZES, assert_same, boxes_in, detector_of, exported, photos
from support.onnx_runs import ONNX
from support.small import build

pytestmark = ONNX
LIKES = (None, "torchvision", "detectron2", "gluoncv")
SIX = ("FasterRCNN", "MaskRCNN", "KeypointRCNN", "RetinaNet", "CascadeRCNN", "RPN")
IMAGES = (*SIZES, (61, 87))


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"not installed: {request.param}")
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of an export with a model.onnx, of a detector of masks with a threshold."""
    folder = tmp_path_factory.mktemp("exports") / "exported"
    threshold = Threshold((0.3,), "f1", "val")
    detector = exported(KINDS["MaskRCNN"](build), folder, threshold=threshold, max_pixels=5000)
    save(detector, folder / "model.onnx")
    return folder


def finds_the_same(model, path, runtime, likes):
    """One image alone and three as a batch, by each of the resize rules."""
    images = photos(*IMAGES)
    for like in likes:
        detector = detector_of(model, transforms=[Resize(40, 96, like=like)])
        save(detector, path)
        loaded = detkit.load(path, runtime=runtime)
        assert (loaded.runtime, loaded.device) == (runtime, "cpu")
        assert_same(loaded.detect(images), detector.detect(images))
        assert_same([loaded.detect(images[2])], [detector.detect(images[2])])


@pytest.mark.parametrize("kind", SIX)
def test_it_finds_what_the_detector_finds(small_model, tmp_path, runtime, kind):
    like = LIKES[SIX.index(kind) % len(LIKES)]
    finds_the_same(KINDS[kind](small_model), tmp_path / "a.onnx", runtime, [like])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_the_same_by_every_resize_rule(small_model, tmp_path, runtime, kind):
    finds_the_same(KINDS[kind](small_model), tmp_path / "a.onnx", runtime, LIKES)


def test_proposals_and_images_as_they_are(small_model, tmp_path, runtime):
    model = small_model()
    parts = {name: getattr(model, name) for name in FastRCNN.PARTS}
    detector = detector_of(FastRCNN(**parts), transforms=[])
    save(detector, tmp_path / "a.onnx")
    loaded = detkit.load(tmp_path / "a.onnx", runtime=runtime)
    images = photos(*SIZES)
    proposals = boxes_in(images)
    assert_same(loaded.detect(images, proposals), detector.detect(images, proposals))
    with pytest.raises(DataError, match="this exported detector needs boxes"):
        loaded.detect(images)


def test_all_else_that_a_detector_has_is_in_the_file(folder, runtime):
    loaded = detkit.load(folder / "model.onnx", runtime=runtime)
    other = detkit.load(folder, runtime=runtime)
    symbol = detkit.load(folder)
    (image,) = photos((64, 80))
    for one in (loaded, other):
        assert (one.threshold, one.max_pixels) == (Threshold((0.3,), "f1", "val"), 5000)
        assert one.class_names == symbol.class_names
        assert_same([one.detect(image)], [symbol.detect(image)])
        masks = symbol.detect(image).masks
        np.testing.assert_allclose(one.detect(image).masks, masks, rtol=0, atol=1e-4)
    with pytest.raises(ExportError, match="cannot run it with images of"):
        loaded.outputs(loaded.batch([image])._replace(images=np.zeros((1, 2, 64, 80), "float32")))


ALONE = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[3].split(","):
            raise ImportError(name)

sys.meta_path.insert(0, Absent())
import numpy as np
import detkit

image = np.arange(64 * 80 * 3, dtype=np.uint64).reshape(64, 80, 3).astype("uint8")
found = detkit.load(sys.argv[1], runtime=sys.argv[2]).detect([image, image], score=0)[1]
assert detkit.load(sys.argv[1]).runtime == sys.argv[2]
print(json.dumps([found.boxes.tolist(), found.masks.sum(axis=(1, 2)).tolist()]))
"""
ABSENT = (
    *("mxnet", "pycocotools", "faster_coco_eval", "yaml", "tqdm", "defusedxml", "onnx", "shtab"),
    *("gluoncv", "matplotlib", "ml_dtypes", "scipy"),
)


def test_numpy_opencv_and_the_runtime_are_enough(folder, runtime):
    others = {"onnxruntime", "openvino"} - {runtime}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, folder, runtime, ",".join([*ABSENT, *others])],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    boxes, areas = json.loads(done.stdout)
    image = np.arange(64 * 80 * 3, dtype=np.uint64).reshape(64, 80, 3).astype("uint8")
    expected = detkit.load(folder).detect(image, score=0)
    assert len(boxes) > 0
    np.testing.assert_allclose(boxes, expected.boxes, rtol=0, atol=0.01)
    np.testing.assert_allclose(areas, expected.masks.sum(axis=(1, 2)), rtol=1e-3)


# --- The choice -----------------------------------------------------------------------------------


def there(monkeypatch, *names):
    """Pretends that these runtimes alone are installed."""
    monkeypatch.setattr(choice, "installed", lambda name: name in names)


def test_without_a_choice(folder, monkeypatch):
    assert detkit.load(folder).runtime == "mxnet"
    there(monkeypatch, "onnxruntime")
    assert detkit.load(folder).runtime == "onnxruntime"
    assert detkit.load(folder / "model.onnx").runtime == "onnxruntime"
    asked = []
    monkeypatch.setattr(choice, "_network", lambda _, runtime: asked.append(runtime) or Nothing)
    there(monkeypatch, "mxnet", "onnxruntime", "openvino")
    detkit.load(folder / "model.onnx")
    for device in ("cuda", "gpu", "tensorrt"):
        detkit.load(folder / "model.onnx", device=device)
    assert asked == ["openvino", *["onnxruntime"] * 3]
    there(monkeypatch)
    with pytest.raises(ExportError, match=r"pip install 'detkit-gluon\[onnxruntime\]'"):
        detkit.load(folder / "model.onnx")


class Nothing:
    """A network of no runtime."""

    device = "cpu"

    def __init__(self, *given):
        pass


def test_devices_and_runtimes_that_are_not_there(folder, tmp_path, monkeypatch):
    path = folder / "model.onnx"
    for options, error, fragments in (
        ({"runtime": "openvin"}, ConfigError, ("runtime: expected one of mxnet,", "did you mean")),
        ({"device": "tpu"}, ConfigError, ("device: expected one of auto, cpu,", "'tpu'")),
        ({"device": "cuda"}, ExportError, ("expected one of auto, cpu", "onnxruntime-gpu")),
        ({"device": "tensorrt"}, ExportError, ("expected one of auto, cpu", "'tensorrt'")),
        ({"runtime": "mxnet"}, ExportError, ("MXNet reads the folder of an export",)),
    ):
        refused(path, error, *fragments, **options)
    exported(build(), tmp_path / "without")
    refused(tmp_path / "without", ExportError, "--onnx", runtime="onnxruntime")
    refused(tmp_path, ExportError, "found none", "export --onnx", runtime="onnxruntime")
    monkeypatch.setitem(sys.modules, "detkit.export.runtimes.by_openvino", None)
    refused(path, ExportError, "the package openvino", "[openvino]", runtime="openvino")


def refused(path, error, *fragments, **options):
    with pytest.raises(error) as caught:
        detkit.load(path, **options)
    for fragment in (str(path), *fragments):
        assert fragment in str(caught.value)


def test_openvino_has_the_cpu_alone(folder):
    pytest.importorskip("openvino")
    path = folder / "model.onnx"
    refused(path, ExportError, "expected auto or cpu", runtime="openvino", device="cuda")


ONCE = """
import sys
import detkit

detkit.load(sys.argv[1], runtime="openvino")
assert "openvino_telemetry" not in sys.modules
import openvino_telemetry  # a program of the user's can have it
"""


def test_openvino_reports_nothing_over_the_network(folder, tmp_path):
    """On Python 3.14, the report would run the main file of the user's program a second time."""
    pytest.importorskip("openvino")
    (tmp_path / "openvino_telemetry.py").write_text("print('imported')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", ONCE, folder / "model.onnx"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr


# --- The commands ---------------------------------------------------------------------------------


def command(*words):
    """The exit status of ``detkit WORDS``."""
    return cli.run(line.main, list(map(str, words)))


def test_predict_label_and_benchmark(folder, tmp_path, capsys):
    path, photo = folder / "model.onnx", tmp_path / "in/a.png"
    photo.parent.mkdir()
    cv2.imwrite(str(photo), photos((50, 64))[0][..., ::-1])
    save_as = ("--save", "json", "--score", 0, "--runtime", "onnxruntime")
    assert command("predict", path, photo, "--out", tmp_path / "out", *save_as) == 0
    (line,) = (tmp_path / "out/detections.jsonl").read_text().splitlines()
    found = detkit.load(path).detect(photo, score=0)
    assert len(json.loads(line)["detections"]) == len(found) > 0
    words = ("--model", path, "--to", "labelstudio", "--out", tmp_path / "tasks")
    assert command("label", photo, *words, "--device", "cpu") == 0
    capsys.readouterr()
    assert command("benchmark", path, "--pictures", photo, "--rounds", 1) == 0
    assert "images a second" in capsys.readouterr().out
