"""Pickled numpy arrays, as Detectron2's model zoo publishes them, without running anything.

The pickle describes each array and holds its bytes (see unpickle.py); the arrays are made here,
when all of it has been read and each is within the bytes that the file has for it.
"""

import io
import math
import re
from pathlib import Path
from typing import Any, Dict, Mapping, Union

import numpy as np

from detkit.errors import WeightsError
from detkit.weights.unpickle import Names, PlainDict, Rebuild, unpickle

NUMBERS = re.compile(r"[fiu][1248]|b1|\?")  # the element types that weights have
ORDERS = {"<": "<", ">": ">", "=": "=", "|": "="}


def read_pkl(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """The arrays of a file like Detectron2's model_final_*.pkl, by name, read-only.

    The file holds ``{"model": {name: array}}``, or the inner dict alone.

    Raises WeightsError, with the path and what was found, for anything that is not such a file and
    for every pickle that asks for more than arrays. Nothing in the file is ever executed.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return _arrays(_model(unpickle(io.BytesIO(data), ARRAYS)[0]), len(data))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


class _Array:
    """What a pickle says of an array: version, shape, dtype, whether columns come first, bytes."""

    __slots__ = ("state",)

    def __init__(self, state=None):
        self.state = state

    def __setstate__(self, state):
        self.state = state


class _DType:
    """What a pickle says of a dtype: its code, and in the second place of its state the order."""

    __slots__ = ("code", "order")

    def __init__(self, code, *_):
        self.code, self.order = code, "="

    def __setstate__(self, state):
        self.order = state[1]


class _Latin1:
    """Bytes as protocols before 3 write them: text whose letters are their values."""

    __slots__ = ("text",)

    def __init__(self, text, encoding):
        if encoding != "latin1" or not isinstance(text, str):
            raise WeightsError(f"its pickle encodes {type(text).__name__} as {encoding!r}")
        self.text = text


def _scalar(dtype, data):
    return _Array((1, (), dtype, False, data))


def _from_buffer(data, dtype, shape, order):
    return _Array((1, shape, dtype, order == "F", data))


_NUMPY = {
    "core.multiarray": {"_reconstruct": lambda *_: _Array(), "scalar": _scalar},
    "core.numeric": {"_frombuffer": _from_buffer},
}
ARRAYS = Names(
    {
        ("collections", "OrderedDict"): Rebuild(PlainDict),
        ("_codecs", "encode"): Rebuild(_Latin1),
        ("__builtin__", "bytes"): Rebuild(lambda: b""),  # so are no bytes written
        ("numpy", "dtype"): Rebuild(_DType),
        ("numpy", "ndarray"): "ndarray",  # only named: an argument of _reconstruct
        # numpy 2 has an underscore before the name of its core.
        **{
            (f"numpy.{underscore}{module}", name): Rebuild(function)
            for underscore in ("", "_")
            for module, functions in _NUMPY.items()
            for name, function in functions.items()
        },
    },
    part_of="a numpy array",
    remedy='read it in Python and pickle {"model": {name: array}} alone',
    encoding="latin1",
)


def _model(found: Any) -> Mapping[str, Any]:
    """The mapping of arrays in what was unpickled."""
    if not isinstance(found, dict):
        raise WeightsError(f"it holds no dict of arrays, only {type(found).__name__}")
    if "blobs" in found:
        raise WeightsError(
            "it is a file of Detectron or Caffe2 (its weights are under 'blobs'), expected one of "
            "Detectron2 with 'model'"
        )
    if found.get("matching_heuristics"):
        raise WeightsError(
            "it says matching_heuristics: an ImageNet classifier or a detector of another "
            "framework, whose names are to be guessed; expected a detector of Detectron2"
        )
    model = found.get("model", found)
    if not isinstance(model, dict) or not any(isinstance(v, _Array) for v in model.values()):
        some = ", ".join(map(repr, list(found)[:10])) or "nothing"
        raise WeightsError(f"it holds no arrays by name, only {some}")
    return model


def _arrays(model: Mapping[str, Any], file_size: int) -> Dict[str, np.ndarray]:
    arrays: Dict[str, np.ndarray] = {}
    built: Dict[int, np.ndarray] = {}  # an array can have two names
    unread = file_size
    for name, note in model.items():
        if not isinstance(name, str) or not isinstance(note, _Array):
            raise WeightsError(f"its entry {name!r} is {type(note).__name__}, expected an array")
        if id(note) not in built:
            built[id(note)] = _array(name, note.state, unread)
            unread -= built[id(note)].nbytes
        arrays[name] = built[id(note)]
    return arrays


def _array(name: str, state: Any, unread: int) -> np.ndarray:
    """The array of a note, of at most ``unread`` bytes, in the machine's own byte order."""
    if not isinstance(state, tuple) or len(state) != 5:
        raise WeightsError(f"array {name!r} is described incompletely")
    _, shape, dtype, by_columns, data = state
    dtype = _dtype(name, dtype)
    if not isinstance(shape, tuple) or any(type(n) is not int or n < 0 for n in shape):
        raise WeightsError(f"array {name!r} has an impossible shape: {shape!r}")
    data = data.text if isinstance(data, _Latin1) else data
    size = math.prod(shape) * dtype.itemsize
    if not isinstance(data, (bytes, bytearray, str)) or len(data) != size or size > unread:
        has = f"{len(data)} bytes" if hasattr(data, "__len__") else type(data).__name__
        raise WeightsError(
            f"array {name!r} of shape {shape} and {dtype} needs {size} bytes, the file has {has} "
            f"for it and {unread} in all"
        )
    try:
        data = data.encode("latin1") if isinstance(data, str) else data
        flat = np.frombuffer(data, dtype) if size else np.empty(0, dtype)
        array = flat.reshape(shape, order="F" if by_columns else "C")
    except ValueError as error:  # letters that are no bytes, more dimensions than numpy has
        raise WeightsError(f"array {name!r} of shape {shape} cannot be made: {error}") from error
    array = array.astype(dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array


def _dtype(name: str, note: Any) -> np.dtype:
    known = isinstance(note, _DType) and isinstance(note.code, str) and note.order in ORDERS
    if not known or not NUMBERS.fullmatch(note.code) or note.code in ("f1", "b2"):
        found = repr(note.code) if isinstance(note, _DType) else type(note).__name__
        raise WeightsError(f"array {name!r} has elements of type {found}, expected plain numbers")
    return np.dtype(note.code).newbyteorder(ORDERS[note.order])
