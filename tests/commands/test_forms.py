"""``detkit benchmark --forms``: what is compared, in which order, and which form is recommended."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from detkit import cli, processor
from detkit.build import build_dataset, build_evaluator, open_config
from detkit.commands import line
from detkit.commands.forms import candidates as candidates_module
from detkit.commands.forms import measured as measured_module
from detkit.commands.forms.candidates import Form, candidates
from detkit.commands.forms.judging import Images, Judge, pictures, share_equal
from detkit.commands.forms.measured import Measured, Measurement
from detkit.commands.forms.verdict import verdict, warnings
from detkit.commands.forms.worker import Opened
from detkit.detections import Detections
from detkit.errors import DataError, ExportError
from detkit.export.manifest import FLOAT32, INT8
from detkit.export.onnx import save
from detkit.threshold import Threshold
from support import tiny
from support.exports import exported, photos
from support.onnx_runs import ONNX
from support.small import build

NAMES = ("cat", "dog")


@pytest.fixture
def benchmark(capsys):
    """A function from arguments to what is printed, or to the error."""

    def call(*arguments, status=0):
        words = ["benchmark", *map(str, arguments), "--forms"]
        assert cli.run(line.main, words) == status
        said = capsys.readouterr()
        return said.err if status else said.out

    return call


def found(*rows):
    """Detections of rows (x1, y1, x2, y2, score, label)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32), NAMES)


def row(name, precision, runtime, times, ap=None, equal=1.0):
    one = Measured(Form(name, name, runtime, precision, 1))
    one.times, one.equal = list(times), equal
    one.metrics = {} if ap is None else {"AP50": 0.9, "AP": ap}
    return one


def test_equal_detections_have_label_box_and_score_in_common():
    box = (0, 0, 100, 100)
    ours = [found((*box, 0.9, 0), (*box, 0.8, 1), (200, 0, 300, 100, 0.7, 0), (*box, 0.2, 0))]
    assert share_equal(ours, ours) == 1
    # The first has nearly the score and the box, the second another score, the third another label.
    theirs = [found((0, 0, 100, 95, 0.86, 0), (*box, 0.7, 1), (200, 0, 300, 100, 0.7, 1))]
    assert share_equal(ours, theirs) == pytest.approx(1 / 3)
    assert share_equal(ours, [found((0, 0, 100, 80, 0.9, 0))]) == 0
    # A detection below the threshold does not count, but another may be equal to it.
    near = [found((*box, 0.51, 0)), found()], [found((*box, 0.49, 0)), None]
    assert share_equal(*near) == 1
    assert share_equal(*near, Threshold((0.6,), "f1", "val")) is None
    # A form that finds more is less equal than one that finds the same.
    assert share_equal([ours[0][:1]], ours) == pytest.approx(1 / 3)


def test_the_fastest_form_within_the_loss_is_recommended():
    rows = [
        row("a", FLOAT32, "mxnet", [10, 11, 90], ap=0.5),
        row("b", FLOAT32, "openvino", [8, 9, 7], ap=0.5),
        row("c", INT8, "openvino", [4, 3, 5], ap=0.48),
    ]
    assert [one.median for one in rows] == [11, 8, 4]
    assert verdict(rows, 0.005).best is rows[1]
    assert "2 of 3 forms" in verdict(rows, 0.005).why
    assert verdict(rows, 0.02001).best is rows[2]


@pytest.mark.parametrize("metrics", [{}, {"AP": 0.004}, {"AP": float("nan")}])
def test_without_an_ap_that_can_be_lost_the_detections_decide(metrics):
    rows = [
        row("a", FLOAT32, "mxnet", [10]),
        row("b", FLOAT32, "openvino", [8]),
        row("c", INT8, "openvino", [4], equal=0.9),
    ]
    for one in rows:
        one.metrics = metrics
    chosen = verdict(rows, 0.005)
    assert chosen.best is rows[1]
    tiny.assert_says(chosen.why, "2 of 3 forms", "95%", "a by mxnet")
    rows[2].equal = 0.96
    assert verdict(rows, 0.005).best is rows[2]


def test_int8_that_loses_is_said(monkeypatch):
    rows = [
        row("a", FLOAT32, "mxnet", [10], ap=0.5),
        row("b", INT8, "mxnet", [15], ap=0.46),
        row("c", INT8, "openvino", [5], ap=0.5),
    ]
    monkeypatch.setattr(processor, "level", lambda: processor.levels()[-1])
    monkeypatch.setattr(processor, "has_vnni", lambda: True)
    slow, worse = warnings(rows, 0.005)
    tiny.assert_says(slow, "b by mxnet", "1.50 times", "a by mxnet")
    tiny.assert_says(worse, "b by mxnet", "4.0 points")
    assert warnings([rows[0], rows[2]], 0.005) == []
    assert warnings([rows[0], row("d", INT8, "mxnet", [10.1], ap=0.5)], 0.005) == []
    monkeypatch.setattr(processor, "has_vnni", lambda: False)
    (only,) = warnings([rows[0], rows[2]], 0.005)
    assert "VNNI" in only
    assert warnings(rows[:1], 0.005) == []


class FakeSide:
    """A process that notes what it is asked; the form "bad" cannot be opened."""

    calls = []

    def __init__(self, form, device, threads):
        self.name = form.name

    def open(self):
        if self.name == "bad":
            raise ExportError("bad: damaged")
        return Opened(NAMES, "cpu", "1", None)

    def detect(self, images):
        score = 0.9 if self.name == "a" else 0.7
        return [found((0, 0, 9, 9, score, 0)), None]

    def time_round(self, images):
        self.calls.append((self.name, list(images)))
        return [float(len(self.calls))] * len(images)

    def peak(self):
        return 1000

    def close(self):
        self.calls.append((self.name, "closed"))


def test_forms_take_turns_and_one_that_fails_stops_no_other(monkeypatch, capsys):
    monkeypatch.setattr(measured_module, "Side", FakeSide)
    monkeypatch.setattr(FakeSide, "calls", [])
    forms = [Form(name, name, "mxnet", FLOAT32, 1) for name in ("bad", "a", "b")]
    with Measurement(forms, "cpu", None) as measurement:
        measurement.compare(Images(["1", "2"], [1, 2], ""), None)
        assert measurement.readable == ["1"]
        measurement.time(measurement.readable, rounds=2)
    bad, one, other = measurement.rows
    assert bad.failure == "bad: damaged" and "bad: damaged" in capsys.readouterr().err
    assert (one.equal, other.equal, one.skipped, one.peak) == (1, 0, 1, 1000)
    a_round = [("a", ["1"]), ("b", ["1"])]
    assert FakeSide.calls[:6] == 3 * a_round
    assert (one.times, other.times) == ([3.0, 5.0], [4.0, 6.0])  # the first round does not count
    assert sorted(FakeSide.calls[6:]) == [("a", "closed"), ("b", "closed"), ("bad", "closed")]


def test_the_first_images_are_judged_by_the_evaluator(config, tmp_path):
    opened = open_config(config)
    dataset = build_dataset(opened, "val")
    judge = Judge(dataset, build_evaluator(opened), "val", limit=2)
    images = judge.images(str(tmp_path))
    ids = [dataset.annotation(index).image_id for index in range(2)]
    assert (images.ids, images.what) == (ids, "of data.val")
    for index, path in enumerate(images.paths):  # without loss
        written = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(written, dataset.image(index))
    truth = {}
    for index in range(2):
        boxes, labels = dataset.annotation(index).boxes, dataset.annotation(index).labels
        ones = np.ones(len(boxes), np.float32)
        names = dataset.class_names
        truth[ids[index]] = Detections(boxes, ones, labels.astype(np.int32), names)
    assert judge.metrics(truth)["AP50"] == 1
    with pytest.raises(DataError, match="AP50.*'recall'"):
        Judge(dataset, lambda *_: {"recall": 1.0}, "val").metrics({})


def test_pictures_are_those_given_or_drawn(tmp_path):
    drawn = pictures([], str(tmp_path), 2)
    assert len(drawn.paths) == 2 and cv2.imread(drawn.paths[1]) is not None
    assert pictures([str(tmp_path)], "", 1).paths == drawn.paths


@ONNX
def test_an_export_has_a_form_for_each_file_and_runtime(tmp_path, monkeypatch):
    folder = tmp_path / "exported"
    detector = exported(build(), folder)
    save(detector, folder / "model.onnx")
    known = {"mxnet", "onnxruntime"}
    monkeypatch.setattr(candidates_module, "installed", lambda name: name in known)
    forms, left_out = candidates([str(folder)])
    assert [(one.name, one.runtime) for one in forms] == [
        ("float32 symbol", "mxnet"),
        ("model.onnx", "onnxruntime"),
    ]
    everything = sum(path.stat().st_size for path in folder.iterdir())
    assert sum(one.size for one in forms) == everything
    (line_,) = left_out
    tiny.assert_says(line_, "model.onnx", "openvino", "pip install")
    assert [one.runtime for one in candidates([str(folder)], "mxnet").forms] == ["mxnet"]
    with pytest.raises(ExportError, match="openvino"):
        candidates([str(folder)], "openvino")
    with pytest.raises(ExportError, match="neither"):
        candidates([str(tmp_path)])


@ONNX
def test_an_onnx_without_annotations_and_a_damaged_one(tmp_path, benchmark):
    folder = tmp_path / "exported"
    save(exported(build(), folder), folder / "model.onnx")
    (folder / "model-int8.onnx").write_bytes((folder / "model.onnx").read_bytes()[:5000])
    (photo,) = photos((64, 80))
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    words = ("--runtime", "onnxruntime", "--pictures", tmp_path / "photo.png", "--rounds", 1)
    printed = benchmark(folder, *words, "--json", tmp_path / "out/forms.json")
    tiny.assert_says(printed, "recommended: model.onnx by onnxruntime", processor.name())
    content = json.loads((tmp_path / "out/forms.json").read_text())
    good, bad = content["forms"]
    assert "copy the file again" in bad["failure"]
    assert good["bytes"]["disk"] == (folder / "model.onnx").stat().st_size
    assert good["bytes"]["peak_memory"] > 20e6
    assert 0 < good["ms"]["median"] <= good["ms"]["percentile_95"]
    assert content["recommended"] == {"form": "model.onnx", "runtime": "onnxruntime"}
    assert content["split"] is None and good["metrics"] == {}


@ONNX
@pytest.mark.slow
def test_a_run_is_exported_and_judged_as_detkit_test_does(reference, tmp_path, benchmark):
    run = shutil.copytree(reference, tmp_path / "run", symlinks=True)
    words = ("--calib", 2, "--count", 1, "--rounds", 1, "--json", tmp_path / "forms.json")
    printed = benchmark(run, *words, "--runtime", "mxnet")
    tiny.assert_says(printed, "float32 symbol by mxnet", "INT8 symbol by mxnet", "recommended: ")
    assert tiny.tool("test", run) == 0
    expected = json.loads((run / "result.json").read_text())
    float32 = json.loads((tmp_path / "forms.json").read_text())["forms"][0]
    assert float32["metrics"]["AP50"] == pytest.approx(expected["AP50"], abs=1e-6)


def test_an_onnx_is_compared_without_mxnet_and_pycocotools():
    absent = ("mxnet", "pycocotools", "faster_coco_eval")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent}))"
    code += "; import detkit.commands.forms.compare, detkit.commands.forms.worker"
    subprocess.run([sys.executable, "-c", code], cwd=tiny.ROOT, check=True)


def test_pictures_that_are_damaged_or_beside_data_are_refused(config, tmp_path, benchmark):
    folder = tmp_path / "exported"
    exported(build(), folder)
    whole = cv2.imencode(".png", np.zeros((64, 80, 3), np.uint8))[1].tobytes()
    (tmp_path / "a.png").write_bytes(whole[:-20])
    error = benchmark(folder, "--pictures", tmp_path / "a.png", status=1)
    tiny.assert_says(error, "a.png", "expected a complete file")
    words = ("--judged-by", config, "--pictures", tmp_path / "a.png")
    tiny.assert_says(benchmark(folder, *words, status=1), "--pictures", "data.val", "a.png")


def test_what_belongs_to_forms_is_refused_without_it(tmp_path, capsys):
    for words, says in (
        (("--json", "a"), "--json is for --forms"),
        (("--forms", "--batches", "2"), "--batches is not for --forms"),
        (("--forms", "--max-loss", "2"), "from 0 to 1"),
    ):
        with pytest.raises(SystemExit) as caught:
            line.main(["benchmark", str(tmp_path), *words])
        assert caught.value.code == 2
        assert says in capsys.readouterr().err
