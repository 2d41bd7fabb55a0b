"""A small .onnx with the metadata of a detector, made of bytes; no package is needed."""

from typing import List

from detkit.export.onnx_manifest import KEY, OnnxManifest
from fuzz.weights import Files

BYTES = 2  # Protocol Buffers' kind of a field with a length
MANIFEST = OnnxManifest(
    detkit="0",
    classes=["cat", "größe"],
    first_label=0,
    inputs=["images", "sizes"],
    outputs=[
        {"name": "boxes", "shape": ["B", 12, 4]},
        {"name": "scores", "shape": ["B", 12]},
        {"name": "labels", "shape": ["B", 12]},
        {"name": "heatmaps", "shape": ["B", 12, 2, 56, 56], "skeleton": [[0, 1]]},
    ],
    resize={"short": 40, "long": 96, "like": "torchvision"},
    pad_multiple=16,
    channels="RGB",
    max_pixels=10_000,
    threshold={"scores": [0.5], "rule": "f1", "split": "val"},
)


def onnx() -> List[Files]:
    """Returns one file: a convolution and a constant in a graph, and two entries of metadata."""
    tensor = number(1, 1) + number(2, 1) + text(8, b"weight") + text(9, bytes(range(64)))
    constant = text(2, b"c") + text(4, b"Constant") + text(5, text(1, b"value") + text(5, tensor))
    node = b"".join([*(text(1, name) for name in (b"images", b"weight", b"c")), text(2, b"boxes")])
    node += text(3, b"conv") + text(4, b"Conv") + text(5, text(1, b"group") + number(3, 1))
    graph = text(1, constant) + text(1, node) + text(2, b"detkit") + text(5, tensor)
    graph += text(11, text(1, b"images")) + text(12, text(1, b"boxes"))
    opset = text(1, b"") + number(2, 17)
    data = number(1, 8) + text(2, b"detkit") + text(7, graph) + text(8, opset)
    for key, value in ((KEY, MANIFEST.text()), ("classes", '["cat"]')):
        data += text(14, text(1, key.encode()) + text(2, value.encode()))
    return [{"a.onnx": data}]


def number(field: int, value: int) -> bytes:
    """Returns a field of a number."""
    return _varint(field << 3) + _varint(value)


def text(field: int, content: bytes) -> bytes:
    """Returns a field of bytes: a text, or a message."""
    return _varint(field << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Returns a number in groups of 7 bits, the lowest first."""
    head = bytearray()
    while value >= 0x80:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*head, value])
