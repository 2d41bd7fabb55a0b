"""bfloat16, and what tools/export.py makes of its arguments for fewer bits."""

import json
import subprocess
import sys
from types import SimpleNamespace

import cv2
import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit import processor
from detkit.errors import ExportError
from detkit.export import exported
from detkit.export.graph.graph import Graph
from detkit.export.graph.layer_names import name_layers
from detkit.export.manifest import MANIFEST
from detkit.export.precision.bf16 import to_bfloat16
from detkit.export.precision.precisions import examples_of
from detkit.processor import has_bfloat16
from support import tiny
from support.exports import KINDS, export_tiny, photos
from support.graphs import INPUTS, SIZES, assert_near, needs_onednn, traced

pytestmark = [needs_onednn, pytest.mark.processor]


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no avx512_bf16")
@pytest.mark.parametrize("kind", ["MaskRCNN", "RetinaNet"])
def test_bfloat16_finds_nearly_the_same(small_model, images, tmp_path, kind):
    model = KINDS[kind](small_model)
    symbol, parameters = to_bfloat16(*traced(model), keep=("first",))
    symbol.save(str(tmp_path / "symbol.json"), remove_amp_cast=False)
    mx.nd.save(str(tmp_path / "parameters"), parameters)
    network = mx.gluon.SymbolBlock(
        mx.sym.load(str(tmp_path / "symbol.json")),
        [mx.sym.var(name, dtype="float32") for name in INPUTS],
    )
    network.collect_params().load(
        str(tmp_path / "parameters"), cast_dtype=True, dtype_source="saved"
    )
    network.hybridize(static_alloc=True)
    for sizes in (*SIZES, *SIZES):
        batch = list(map(mx.nd.array, images(*sizes, seed=9)))
        found, expected = network(*batch), model(*batch)
        assert_near(*([output.asnumpy() for output in each] for each in (found, expected)))
    halved = sum(array.dtype != np.float32 for array in parameters.values())
    assert 0 < halved < len(parameters)


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no avx512_bf16")
def test_maxima_of_bfloat16_are_not_taken_as_float32():
    layers = mx.gluon.nn.HybridSequential()
    layers.add(mx.gluon.nn.Conv2D(4, 3, in_channels=3), mx.gluon.nn.MaxPool2D())
    layers.add(mx.gluon.nn.Conv2D(4, 3, in_channels=4), mx.gluon.nn.AvgPool2D())
    layers.initialize()
    graph = Graph(layers(mx.sym.var("images", dtype="float32")))
    name_layers(graph, layers)
    weights = {each.name: each.data() for each in layers.collect_params().values()}
    symbol, _ = to_bfloat16(graph, weights)
    nodes = json.loads(symbol.tojson(remove_amp_cast=False))["nodes"]
    maxima, means = (node for node in nodes if node["op"] == "Pooling")
    assert nodes[maxima["inputs"][0][0]]["op"] == "_sg_mkldnn_conv"
    assert nodes[means["inputs"][0][0]]["op"] == "amp_cast"
    assert [node["op"] for node in nodes].count("amp_cast") == 2


def test_bfloat16_needs_a_cpu_that_has_it(small_model, monkeypatch, tmp_path):
    monkeypatch.setattr(processor, "CPU_INFO", str(tmp_path / "absent"))
    with pytest.raises(ExportError, match="bfloat16: .*avx512_bf16"):
        to_bfloat16(*traced(small_model()))


# --- The tool -------------------------------------------------------------------------------------


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


def test_int8_for_vnni_says_so_where_there_is_none(finished, tmp_path, monkeypatch, caplog):
    out = tmp_path / "out"
    assert export_tiny(finished, out, "--int8", "--calib", 1, "--int8-for", "vnni") == 0
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["int8_for"] == "vnni"
    monkeypatch.setattr(exported, "has_vnni", lambda: True)
    detkit.load_exported(out)
    assert not caplog.records
    monkeypatch.setattr(exported, "has_vnni", lambda: False)
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


def test_examples_come_from_all_over_the_dataset():
    class Numbers:
        def __len__(self):
            return 11

        def image(self, position):
            return position

    class Detector:
        class model:
            INPUTS = ("images",)

        def batch(self, images):
            return SimpleNamespace(images=images)

    assert list(examples_of(Detector(), Numbers(), 3)) == [([0],), ([5],), ([10],)]
    assert len(list(examples_of(Detector(), Numbers(), 40))) == 11
