"""Small valid files of weights, from which the mutations start."""

import collections
import io
import json
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Dict, List

import mxnet as mx
import numpy as np

Files = Dict[str, bytes]  # by path within the folder of a case


def pth() -> List[Files]:
    """Returns files of torch.save in both formats."""
    values = np.arange(12, dtype=np.float32)
    head, tail = b"\x80\x02", b"."
    pid = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpuK\x0c"
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + b"%sQK\0(K\x03K\x04t(K\x04K\x01t\x89"
        b"ccollections\nOrderedDict\n)RtRq\x05"
    )
    body = b"}q\x01(X\x01\0\0\0a%sX\x01\0\0\0bh\x05u"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("a/data.pkl", head + body % (tensor % (pid + b"t")) + tail)
        writer.writestr("a/data/0", values.tobytes())
        writer.writestr("a/byteorder", b"little")
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    legacy = b"".join(pickle.dumps(part, 2) for part in parts)
    legacy += head + body % (tensor % (pid + b"Nt")) + tail + pickle.dumps(["0"], 2)
    legacy += struct.pack("<q", len(values)) + values.tobytes()
    return [{"a.pth": archive.getvalue()}, {"a.pth": legacy}]


def pkl() -> List[Files]:
    """Returns pickles of numpy arrays by protocols 0 to 5, and one of Detectron's by protocol 2."""
    arrays = {
        "a": np.arange(6, dtype="f4").reshape(2, 3),
        "b": np.asfortranarray(np.ones((3, 2), ">f8")),
        "c": np.zeros((0, 3), "f2"),
        "d": np.float32(7),
    }
    blobs = {
        "conv1_w": np.ones((2, 3, 1, 1), "f4"),
        "res_conv1_bn_s": np.ones(2, "f4"),
        "res2_0_branch2a_b": np.zeros(2, "f4"),
        "fc1000_w_momentum": np.ones((2, 2), "f4"),
    }
    contents: List[Any] = [{"model": collections.OrderedDict(arrays), "__author__": "x"}] * 6
    contents.append({"blobs": blobs, "cfg": "a: 1"})
    return [{"a.pkl": pickle.dumps(each, n % 6)} for n, each in enumerate(contents, start=2)]


def params() -> List[Files]:
    """Returns files of mx.nd.save."""
    arrays = {"w": mx.nd.ones((2, 3)), "b": mx.nd.arange(4), "n": mx.nd.array([1], dtype="int32")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.params")
        mx.nd.save(str(path), arrays)
        return [{"a.params": path.read_bytes()}]


def safetensors() -> List[Files]:
    """Returns a file with arrays of several types, of which one is empty and one has no axes."""
    arrays = {
        "w": ("F32", np.arange(6, dtype="<f4").reshape(2, 3)),
        "b": ("BF16", np.full(3, 0x3F80, "<u2")),
        "n": ("I64", np.array(7)),
        "e": ("F16", np.zeros((0, 3), "<f2")),
    }
    header: Dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (kind, array) in arrays.items():
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return [{"a.safetensors": struct.pack("<Q", len(text)) + text + data}]
