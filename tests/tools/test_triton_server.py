"""A Triton Inference Server on loopback reads the model repository and answers requests.

The server is the one in the package nvidia-pytriton. It has no back end for ONNX Runtime, so that
its Python back end runs the file by ONNX Runtime: all else is what ``triton_repository`` wrote.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from detkit.export.onnx import save
from support import tiny
from support.exports import detector_of, photos
from support.onnx_runs import ONNX
from support.small import build

PACKAGE = importlib.util.find_spec("pytriton")
PYTHON = "{}.{}".format(*sys.version_info)
pytestmark = [
    ONNX,
    pytest.mark.skipif(PACKAGE is None, reason="not installed: nvidia-pytriton"),
]
NAME = "cats"
MODEL = """
import onnxruntime
import triton_python_backend_utils as triton

class TritonPythonModel:
    def initialize(self, args):
        path = f"{args['model_repository']}/{args['model_version']}/model.onnx"
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        feed = {each.name(): each.as_numpy() for each in request.inputs()}
        outputs = zip(self.names, self.session.run(self.names, feed))
        return triton.InferenceResponse([triton.Tensor(*output) for output in outputs])
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A model repository whose model is run by Python."""
    folder = tmp_path_factory.mktemp("triton")
    save(detector_of(build()), folder / "mine.onnx")
    words = [str(folder / "mine.onnx"), "--out", str(folder / "models"), "--name", NAME]
    tiny.module_of("triton_repository").main(words)
    config = folder / "models" / NAME / "config.pbtxt"
    text = config.read_text()
    assert text.count('"onnxruntime"') == 1
    config.write_text(text.replace('"onnxruntime"', '"python"'))
    (config.parent / "1/model.py").write_text(MODEL)
    return folder / "models"


def back_ends(folder, package):
    """The folder of back ends, in which the server looks for the program of this Python."""
    folder.joinpath("python").mkdir(parents=True)
    shipped = [
        *package.glob("backends/python/*"),
        *package.glob(f"python_backend_stubs/{PYTHON}/*"),
    ]
    for path in shipped:
        folder.joinpath("python", path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def server(repository):
    """The address of the server, which is ready."""
    package = Path(PACKAGE.submodule_search_locations[0], "tritonserver")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        *(str(package / "bin/tritonserver"), f"--model-repository={repository}"),
        f"--backend-directory={back_ends(repository.parent / 'back_ends', package)}",
        *("--http-address=127.0.0.1", f"--http-port={port}"),
        *("--allow-grpc=false", "--allow-metrics=false"),
    ]
    paths = os.pathsep.join(path for path in sys.path if path)
    log = repository.parent / "log.txt"
    with open(log, "w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, "PYTHONPATH": paths}
        )
    address = f"http://127.0.0.1:{port}/v2"
    try:
        wait_until_ready(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_until_ready(address, process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/health/ready", timeout=60).close()
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())


def asked(url, body=None):
    """The status and the JSON of an answer."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def request_of(**inputs):
    tensors = [
        {"name": name, "datatype": "FP32", "shape": array.shape, "data": array.ravel().tolist()}
        for name, array in inputs.items()
    ]
    return {"inputs": tensors}


def test_the_model_is_described(server):
    _, config = asked(f"{server}/models/{NAME}/config")
    assert config["max_batch_size"] == 8
    about = json.loads(config["parameters"]["detkit"]["string_value"])
    assert about["classes"] == list(detector_of(build()).class_names)


def test_a_batch_gets_the_outputs_of_onnx_runtime(server, repository):
    import onnxruntime

    images = np.stack(photos((64, 96), (64, 96))).transpose(0, 3, 1, 2).astype(np.float32)
    sizes = np.array([[64, 96], [64, 90]], np.float32)
    path = str(repository / NAME / "1/model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    expected = session.run(names, {"images": images, "sizes": sizes})
    status, answer = asked(f"{server}/models/{NAME}/infer", request_of(images=images, sizes=sizes))
    assert status == 200
    found = {each["name"]: np.reshape(each["data"], each["shape"]) for each in answer["outputs"]}
    assert list(found) == names
    for name, one in zip(names, expected):
        np.testing.assert_allclose(found[name], one, rtol=1e-5, atol=1e-5, err_msg=name)
    assert (found["scores"] > 0).any()


def test_wrong_requests_get_a_status_and_a_message(server):
    url = f"{server}/models/{NAME}/infer"
    sizes = np.array([[64, 96]], np.float32)
    grey = np.zeros((1, 1, 64, 96), np.float32)
    status, said = asked(url, request_of(images=grey, sizes=sizes))
    assert status == 400
    assert "[-1,3,-1,-1]" in said["error"]
    many = np.zeros((9, 3, 8, 8), np.float32)
    status, said = asked(url, request_of(images=many, sizes=np.repeat(sizes, 9, axis=0)))
    assert status == 400
    assert "8" in said["error"]
