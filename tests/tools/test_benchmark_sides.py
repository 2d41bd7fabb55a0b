"""The sides that tools/benchmark.py measures."""

from benchmark.detectors import sides

NAME = "fasterrcnn_resnet50_fpn"


def test_the_sides_of_openvino_and_of_compiled_networks(tmp_path):
    peers = {"openvino": "/peer/python", "torchvision_compiled": None}
    found = {side.name: side for side in sides.sides_of(NAME, tmp_path, ["eager"], peers)}
    assert list(found) == [
        "detkit eager",
        "openvino fp32",
        "openvino bf16",
        "torchvision_compiled fp32",
        "torchvision_compiled bf16",
    ]
    assert found["openvino bf16"].job["model"] == str(tmp_path / "model.onnx")
    assert found["openvino bf16"].python == "/peer/python"
    compiled = found["torchvision_compiled fp32"]
    assert (compiled.script.name, compiled.job["model"]) == ("worker_torchvision.py", None)
    assert all(side.script.is_file() and side.compared for side in found.values())
    trained = sides.sides_of(NAME, tmp_path, ["hybridized"], peers, training=True)
    assert {side.name.split()[0] for side in trained} == {"detkit"}


def test_which_sides_there_are(tmp_path):
    peers = {"torchvision": "/peer/python", "gluoncv": None, "onnxruntime": None}
    found = sides.sides_of(NAME, tmp_path, ["eager", "exported"], peers)
    names = [side.name for side in found]
    assert names == [
        "detkit eager",
        "detkit exported",
        "torchvision fp32",
        "torchvision bf16",
        "gluoncv fp32",
        "onnxruntime fp32",
    ]
    by_name = dict(zip(names, found))
    assert by_name["torchvision bf16"].python == "/peer/python"
    assert by_name["torchvision bf16"].precision == "bf16"
    assert by_name["detkit exported"].job["model"] == str(tmp_path / "exported")
    assert [side.name for side in found if not side.compared] == ["gluoncv fp32"]
    assert all(side.script.is_file() for side in found)
    trained = sides.sides_of("fasterrcnn_vgg16", tmp_path, ["hybridized"], peers, training=True)
    assert {side.name.split()[0] for side in trained} == {"detkit", "torchvision"}
    assert all(side.job["training"] for side in trained)
