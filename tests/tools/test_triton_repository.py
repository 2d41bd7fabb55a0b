"""tools/triton_repository.py: the config says of the model what ONNX Runtime says of it."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from detkit.errors import DataError, ExportError
from detkit.export.onnx import save
from support import tiny
from support.exports import KINDS, detector_of
from support.onnx_runs import ONNX
from support.small import build

pytestmark = ONNX
TENSOR = re.compile(r'(input|output) \{\n  name: "(\w+)"\n  data_type: (\w+)\n  dims: \[(.*)\]\n\}')


@pytest.fixture(scope="module")
def module():
    return tiny.module_of("triton_repository")


@pytest.fixture(scope="module", params=["FasterRCNN", "MaskRCNN"])
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "mine.onnx"
    save(detector_of(KINDS[request.param](build)), path)
    return path


def sides(tensor):
    """The dims of an input or output of ONNX Runtime, behind the number of images."""
    first, *others = tensor.shape
    assert isinstance(first, str)  # any number, or Triton could not put requests together
    return [each if isinstance(each, int) else -1 for each in others]


def test_names_types_and_shapes_are_those_of_the_model(module, path, tmp_path):
    import onnxruntime

    module.main([str(path), "--out", str(tmp_path / "models"), "--name", "cats", "--most", "4"])
    folder = tmp_path / "models/cats"
    model = folder / "1/model.onnx"
    assert model.read_bytes() == path.read_bytes()
    text = (folder / "config.pbtxt").read_text()
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    expected = {each.name: ("input", sides(each)) for each in session.get_inputs()}
    expected.update({each.name: ("output", sides(each)) for each in session.get_outputs()})
    found = {}
    for kind, name, data_type, dims in TENSOR.findall(text):
        assert data_type == "TYPE_FP32"
        found[name] = kind, json.loads(f"[{dims}]")
    assert found == expected
    tiny.assert_says(text, 'name: "cats"', "max_batch_size: 4", 'backend: "onnxruntime"')


@pytest.fixture
def triton():
    """Triton's model_config.proto as Python; the package around it would need gRPC."""
    found = importlib.util.find_spec("tritonclient")
    if found is None:
        pytest.skip("not installed: tritonclient")
    path = Path(found.submodule_search_locations[0], "grpc/model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_triton_reads_the_config(module, path, triton):
    from google.protobuf import text_format

    config = text_format.Parse(module.config_of(str(path), "mine", 8), triton.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("mine", "onnxruntime", 8)
    images, sizes = config.input
    assert (images.name, list(images.dims), images.data_type) == ("images", [3, -1, -1], 11)
    assert (sizes.name, list(sizes.dims)) == ("sizes", [2])
    assert [each.name for each in config.output][:3] == ["boxes", "scores", "labels"]
    about = json.loads(config.parameters["detkit"].string_value)
    assert about["classes"] == list(detector_of(build()).class_names)


def test_text_is_escaped(module):
    assert module.quoted('a "b"\\') == '"a \\"b\\"\\\\"'
    assert module.quoted("é") == '"\\303\\251"'


def test_what_is_no_export_is_refused(module, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match="a.onnx"):
        module.main([str(tmp_path / "a.onnx"), "--out", str(tmp_path / "models")])
    with pytest.raises(DataError, match="--name"):
        module.main(["a.onnx", "--out", str(tmp_path), "--name", "../b"])
    assert not (tmp_path / "models").exists()
