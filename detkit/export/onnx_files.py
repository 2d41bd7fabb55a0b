"""Reads an .onnx without the package onnx: its metadata, and what must not be in the graph.

The layout is Protocol Buffers' (protobuf.dev/programming-guides/encoding), and the numbers of the
fields are those of onnx.proto of the ONNX project. A message is a list of fields; each is a number,
4 or 8 bytes, or a length and so many bytes, which may be a message again.
"""

import os
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, NamedTuple, Tuple, Union

from detkit.errors import ExportError
from detkit.export.manifest_rules import AGAIN, check_is_file
from detkit.files.disk import whole_file

PathName = Union[str, "os.PathLike[str]"]

MOST_BYTES = (1 << 31) - 1  # of a file: a limit of Protocol Buffers
MOST_FIELDS = 4_000_000  # that are read; a large detector has some 100,000
MOST_ENTRIES = 1000  # of the metadata
LONGEST_NUMBER = 10  # bytes
NUMBER, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5  # kinds of fields
GRAPH, METADATA, FUNCTIONS = 7, 14, 25  # fields of a model
KEY, VALUE = 1, 2  # of an entry of the metadata
NODES, INITIALIZERS, INPUTS, SPARSE_INITIALIZERS = 1, 5, 11, 15  # of a graph
INPUT_NAME = 1  # of the input of a graph
READS, WRITES, ATTRIBUTES, DOMAIN = 1, 2, 5, 7  # of a node
TENSORS, NEVER = (5, 10), (6, 11, 22, 23)  # of an attribute; graphs and sparse tensors
TENSOR_NAME, EXTERNAL_DATA, DATA_LOCATION = 8, 13, 14  # of a tensor
OWN_DOMAINS = (b"", b"ai.onnx")  # of the operators that ONNX itself defines

Value = Union[int, memoryview]


class OnnxFile(NamedTuple):
    """An .onnx: its bytes, and its metadata."""

    data: bytes
    metadata: Dict[bytes, bytes]


def read_onnx(path: PathName) -> OnnxFile:
    """Returns the content of an .onnx, after it has checked that the file needs no other.

    Raises ExportError for a file that is missing, damaged or no model of ONNX, and for a graph that
    no export has: one with a circle, with other graphs, sparse tensors or functions in it, or that
    names other files or operators that ONNX does not define.
    """
    data = _content(path)
    try:
        metadata = _Walk().model(memoryview(data))
    except ValueError as error:
        raise ExportError(
            f"{os.fspath(path)}: expected a model of ONNX, as detkit export --onnx writes it, "
            f"found {len(data)} bytes in which {error}; copy the file again, or {AGAIN}"
        ) from error
    return OnnxFile(data, metadata)


def write_metadata(path: PathName, entries: Mapping[bytes, bytes]) -> None:
    """Writes entries of the metadata of an .onnx; all else stays as it is.

    Raises the errors of ``read_onnx``, and DataError if the file cannot be written.
    """
    data = read_onnx(path).data
    kept: List[bytes] = []
    for number, field, whole in _fields(memoryview(data)):
        if number != METADATA or _entry(field)[0] not in entries:
            kept.append(bytes(whole))
    for key, value in entries.items():
        kept.append(_message(METADATA, _message(KEY, key) + _message(VALUE, value)))
    with whole_file(Path(path)) as part:
        part.write_bytes(b"".join(kept))


def _content(path: PathName) -> bytes:
    name = os.fspath(path)
    check_is_file(name)
    try:
        size = os.path.getsize(name)
        if size > MOST_BYTES:
            raise ExportError(f"{name}: expected at most {MOST_BYTES} bytes, found {size}; {AGAIN}")
        with open(name, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise ExportError(f"{name}: cannot be read: {error.strerror}; name a file .onnx") from error


class _Walk:
    """A walk through all parts of a model in which a file or a foreign operator can be named."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS

    def model(self, data: memoryview) -> Dict[bytes, bytes]:
        """Returns the metadata of a model. Raises ValueError for what ``read_onnx`` refuses."""
        metadata: Dict[bytes, bytes] = {}
        graphs = 0
        for number, value in self._fields(data):
            if number == METADATA:
                key, text = _entry(value)
                if key in metadata or len(metadata) == MOST_ENTRIES:
                    raise ValueError(f"the metadata {key[:40]!r} is there twice or one too many")
                metadata[key] = text
            elif number == FUNCTIONS:
                raise ValueError("there is a function, which no export has")
            elif number == GRAPH:
                graphs += 1
                self._graph(value)
        if graphs != 1:
            raise ValueError(f"there are {graphs} graphs instead of one")
        return metadata

    def _graph(self, data: Value) -> None:
        nodes: List[_Node] = []
        known = {b""}  # the name of an optional input that is left out
        for number, value in self._fields(data):
            if number == NODES:
                nodes.append(self._node(value))
            elif number == INITIALIZERS:
                known.add(self._tensor(value))
            elif number == INPUTS:
                known.update(bytes(_bytes(v)) for n, v in self._fields(value) if n == INPUT_NAME)
            elif number == SPARSE_INITIALIZERS:
                raise ValueError("there is a sparse tensor, which no export has")
        for node in nodes:  # ONNX's order: each reads what is above it, so that there is no circle
            unknown = [name for name in node.inputs if name not in known]
            if unknown:
                raise ValueError(f"a node reads {unknown[0][:40]!r}, which none before it writes")
            known.update(node.outputs)

    def _node(self, data: Value) -> "_Node":
        node = _Node([], [])
        for number, value in self._fields(data):
            if number in (READS, WRITES):
                (node.inputs if number == READS else node.outputs).append(bytes(_bytes(value)))
            elif number == DOMAIN and _bytes(value) not in OWN_DOMAINS:
                raise ValueError(f"there is an operator of {bytes(_bytes(value))[:40]!r}")
            elif number == ATTRIBUTES:
                self._attribute(value)
        return node

    def _attribute(self, data: Value) -> None:
        for number, value in self._fields(data):
            if number in TENSORS:
                self._tensor(value)
            elif number in NEVER:
                raise ValueError("there is a graph or a sparse tensor in a node, as in no export")

    def _tensor(self, data: Value) -> bytes:
        """Returns the name of a tensor."""
        name = b""
        for number, value in self._fields(data):
            if number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0):
                raise ValueError("a tensor lies in another file")
            if number == TENSOR_NAME:
                name = bytes(_bytes(value))
        return name

    def _fields(self, data: Value) -> Iterator[Tuple[int, Value]]:
        for number, value, _ in _fields(_bytes(data)):
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"there are more than {MOST_FIELDS} values")
            yield number, value


class _Node(NamedTuple):
    """The names that a node reads and writes."""

    inputs: List[bytes]
    outputs: List[bytes]


def _fields(data: memoryview) -> Iterator[Tuple[int, Value, memoryview]]:
    """Yields the number, the value and all bytes of each field of a message. Raises ValueError."""
    place, end = 0, len(data)
    while place < end:
        start = place
        tag, place = _number(data, place)
        number, kind = tag >> 3, tag & 7
        value: Value
        if kind == NUMBER:
            value, place = _number(data, place)
        elif kind in (EIGHT_BYTES, FOUR_BYTES, BYTES):
            size = 8 if kind == EIGHT_BYTES else 4
            if kind == BYTES:
                size, place = _number(data, place)
            value, place = data[place : place + size], place + size
        else:
            raise ValueError(f"a field is of the unknown kind {kind}")
        if number == 0 or place > end:
            raise ValueError("a field has no number, or ends behind the end")
        yield number, value, data[start:place]


def _number(data: memoryview, place: int) -> Tuple[int, int]:
    """Returns a number of 7 bits in each byte, the lowest first, and the place behind it."""
    value = 0
    for shift, byte in enumerate(data[place : place + LONGEST_NUMBER]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, place + shift + 1
    raise ValueError("a number has no end")


def _message(number: int, content: bytes) -> bytes:
    """Returns a field of bytes."""
    head = bytearray()
    for value in (number << 3 | BYTES, len(content)):
        while value >= 0x80:
            head.append(value & 0x7F | 0x80)
            value >>= 7
        head.append(value)
    return bytes(head) + content


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message or a text is expected")
    return value


def _entry(value: Value) -> Tuple[bytes, bytes]:
    parts = {number: _bytes(part) for number, part, _ in _fields(_bytes(value))}
    return bytes(parts.get(KEY, b"")), bytes(parts.get(VALUE, b""))
