"""Reads pickled numpy arrays, as Detectron and Detectron2 publish them, without running anything.

The pickle describes each array and holds its bytes (see unpickle.py). The arrays are made here,
after the whole pickle has been read and each array has been checked to lie within its bytes.
"""

import io
import math
import re
import reprlib
from pathlib import Path
from typing import Any, Callable, Dict, Literal, Mapping, Union

import numpy as np

from detkit.errors import WeightsError
from detkit.weights.machine import MOST_AXES, Rebuild
from detkit.weights.unpickle import Names, plain_dict, unpickle
from detkit.wording import first_few

NUMBERS = re.compile(r"[fiu][1248]|b1|\?")  # the element types of weights
ORDERS: Dict[str, Literal["<", ">", "="]] = {"<": "<", ">": ">", "=": "=", "|": "="}


def read_pkl(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """Returns the read-only arrays of a file like Detectron2's model_final_*.pkl by name.

    The file holds ``{"model": {name: array}}``, Detectron's ``{"blobs": {name: array}}``, or the
    inner dict alone. Nothing in it is executed.

    Raises WeightsError, with the path, for any other file and for a pickle that asks for more than
    arrays.
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
    """A pickle's description of an array: version, shape, dtype, whether by columns, bytes."""

    __slots__ = ("state",)

    def __init__(self, state: Any = None) -> None:
        self.state = state

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _DType:
    """A pickle's description of a dtype: its code and its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code: Any = code
        self.order: Any = "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _Latin1:
    """Bytes as protocols before 3 write them: text whose letters are the bytes' values."""

    __slots__ = ("text",)

    def __init__(self, text: Any, encoding: Any) -> None:
        if type(encoding) is not str or encoding != "latin1" or not isinstance(text, str):
            raise WeightsError(
                f"expected bytes as text in latin1, found {type(text).__name__} in "
                f"{reprlib.repr(encoding)}"
            )
        self.text = text


def _scalar(dtype: Any, data: Any) -> _Array:
    return _Array((1, (), dtype, False, data))


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    return _Array((1, shape, dtype, order == "F", data))


_NUMPY: Dict[str, Dict[str, Callable[..., Any]]] = {
    "core.multiarray": {"_reconstruct": lambda *_: _Array(), "scalar": _scalar},
    "core.numeric": {"_frombuffer": _from_buffer},
}
ARRAYS = Names(
    {
        ("collections", "OrderedDict"): Rebuild(plain_dict),
        ("_codecs", "encode"): Rebuild(_Latin1),
        ("__builtin__", "bytes"): Rebuild(lambda: b""),  # how empty bytes are written
        ("numpy", "dtype"): Rebuild(_DType),
        ("numpy", "ndarray"): "ndarray",  # only named: an argument of _reconstruct
        # numpy 2 writes an underscore before the name of its core.
        **{
            (f"numpy.{underscore}{module}", name): Rebuild(function)
            for underscore in ("", "_")
            for module, functions in _NUMPY.items()
            for name, function in functions.items()
        },
    },
    part_of="numpy arrays",
    remedy='read it in Python and pickle {"model": {name: array}} alone',
    encoding="latin1",
)


def _model(content: Any) -> Mapping[str, Any]:
    """Returns the mapping of arrays in the unpickled content."""
    if not isinstance(content, dict):
        raise WeightsError(f"expected a dict of arrays, found {type(content).__name__}")
    if content.get("matching_heuristics"):
        raise WeightsError(
            "expected a detector of Detectron2, found an ImageNet classifier or a detector of "
            "another framework (matching_heuristics), whose names do not say where they belong"
        )
    model = content.get("model", content.get("blobs", content))
    if not isinstance(model, dict) or not any(isinstance(v, _Array) for v in model.values()):
        keys = first_few([repr(key) for key in content], 10) or "nothing"
        raise WeightsError(f"expected arrays by name, found the keys {keys}")
    return model


def _arrays(model: Mapping[str, Any], file_size: int) -> Dict[str, np.ndarray]:
    arrays: Dict[str, np.ndarray] = {}
    built: Dict[int, np.ndarray] = {}  # by id of the note: an array can have two names
    unread = file_size
    for name, note in model.items():
        if not isinstance(name, str) or not isinstance(note, _Array):
            raise WeightsError(f"entry {name!r}: expected an array, found {type(note).__name__}")
        if id(note) not in built:
            built[id(note)] = _array(name, note.state, unread)
            unread -= built[id(note)].nbytes
        arrays[name] = built[id(note)]
    return arrays


def _array(name: str, state: Any, unread: int) -> np.ndarray:
    """Returns the array of a note in the machine's byte order.

    unread: the bytes of the file that no other array has taken, which limit the array's size.
    """
    if not isinstance(state, tuple) or len(state) != 5:
        raise WeightsError(f"array {name!r}: expected a complete description, found another")
    _, shape, code, by_columns, data = state
    dtype = _dtype(name, code)
    is_shape = isinstance(shape, tuple) and len(shape) <= MOST_AXES
    if not is_shape or any(type(side) is not int or side < 0 for side in shape):
        raise WeightsError(
            f"array {name!r}: expected a tuple of sizes as shape, found {reprlib.repr(shape)}"
        )
    data = data.text if isinstance(data, _Latin1) else data
    size = math.prod(shape) * dtype.itemsize
    is_data = isinstance(data, (bytes, bytearray, str))
    if not is_data or len(data) != size or size > unread:
        found = f"{len(data)} bytes" if is_data else type(data).__name__
        raise WeightsError(
            f"array {name!r} of shape {shape} and {dtype}: expected {size} bytes, found {found} "
            f"({unread} bytes of the file are left)"
        )
    try:
        data = data.encode("latin1") if isinstance(data, str) else data
        flat = np.frombuffer(data, dtype) if size else np.empty(0, dtype)
        array = flat.reshape(shape, order="F" if by_columns else "C")
    except ValueError as error:  # letters that are no bytes, more dimensions than numpy allows
        raise WeightsError(f"array {name!r} of shape {shape}: cannot be made: {error}") from error
    array = array.astype(dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array


def _dtype(name: str, note: Any) -> np.dtype:
    texts = (note.code, note.order) if isinstance(note, _DType) else (None,)
    # A nested tuple as order would never end to be hashed.
    known = all(isinstance(text, str) for text in texts) and note.order in ORDERS
    if not known or not NUMBERS.fullmatch(note.code) or note.code in ("f1", "b2"):
        found = reprlib.repr(note.code) if isinstance(note, _DType) else type(note).__name__
        raise WeightsError(
            f"array {name!r}: expected plain numbers, found elements of type {found}"
        )
    return np.dtype(note.code).newbyteorder(ORDERS[note.order])
