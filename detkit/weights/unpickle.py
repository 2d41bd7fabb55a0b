"""Unpickles plain containers that describe arrays; it is the only unpickling in detkit.

A pickle is a program. machine.py runs it within limits, and knows only a handful of names, each of
which only records its arguments. This module has the names of torch's tensors,
whose bytes lie elsewhere in the file; pkl.py has those of numpy's arrays.
"""

import reprlib
from typing import Any, BinaryIO, Dict, Mapping, NamedTuple, Tuple

from detkit.errors import WeightsError
from detkit.weights.machine import MOST_AXES, Machine, Rebuild, checked_key


class StorageType(NamedTuple):
    """The element type of a storage; numpy lacks bfloat16, which is read as uint16 and widened."""

    dtype: str
    bfloat16: bool = False


class Storage(NamedTuple):
    """A run of `size` elements in the file that has not been read yet."""

    key: str
    type: StorageType
    size: int


class TensorView(NamedTuple):
    """A strided view of a storage; all its numbers count elements."""

    storage: Storage
    offset: int
    shape: Tuple[int, ...]
    strides: Tuple[int, ...]


class PlainDict(dict):
    """The stand-in for OrderedDict, without the attributes (torch's _metadata) of a pickle."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Drops the attributes: one named `items` would hide the method."""


def plain_dict(items: Any = ()) -> PlainDict:
    """Returns the stand-in for an OrderedDict of the pickle: of a dict, or of pairs."""
    pairs = items.items() if isinstance(items, dict) else items
    return PlainDict({checked_key(key): value for key, value in pairs})


def _size(values: Any = ()) -> Tuple[Any, ...]:
    if not isinstance(values, (tuple, list)) or len(values) > MOST_AXES:
        raise WeightsError(
            f"torch.Size: expected at most {MOST_AXES} sides, found {reprlib.repr(values)}"
        )
    return tuple(values)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> TensorView:
    counts = (offset, *_size(shape), *_size(strides))
    if not isinstance(storage, Storage) or not all(map(_is_count, counts)):
        raise WeightsError(
            f"a tensor: expected integers of at least 0, found {reprlib.repr(counts)}"
        )
    if len(shape) != len(strides):
        raise WeightsError(
            f"a tensor: expected a stride for each axis, found the shape {tuple(shape)} and the "
            f"strides {tuple(strides)}"
        )
    return TensorView(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: Any, *_: Any) -> TensorView:
    if not isinstance(tensor, TensorView):
        raise WeightsError(f"a parameter: expected a tensor, found {type(tensor).__name__}")
    return tensor


_STORAGE_TYPES = {
    "DoubleStorage": StorageType("f8"),
    "FloatStorage": StorageType("f4"),
    "HalfStorage": StorageType("f2"),
    "BFloat16Storage": StorageType("u2", bfloat16=True),
    "LongStorage": StorageType("i8"),
    "IntStorage": StorageType("i4"),
    "ShortStorage": StorageType("i2"),
    "CharStorage": StorageType("i1"),
    "ByteStorage": StorageType("u1"),
    "BoolStorage": StorageType("?"),
    "UntypedStorage": StorageType("u1"),
}


class Names(NamedTuple):
    """The names that a type of pickle may use; it can reach no other object.

    known: {(module, name): its stand-in}.
    part_of: the objects that the names describe, for messages.
    remedy: the advice for a file that uses other names, for messages.
    encoding: the encoding of Python 2's strings, which were bytes.
    """

    known: Mapping[Tuple[str, str], Any]
    part_of: str
    remedy: str
    encoding: str = "utf-8"


_TORCH = {
    ("collections", "OrderedDict"): Rebuild(plain_dict),
    ("torch", "Size"): Rebuild(_size),
    ("torch._utils", "_rebuild_tensor"): Rebuild(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Rebuild(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Rebuild(_rebuild_parameter),
    **{
        (module, name): kind
        for module in ("torch", "torch.cuda", "torch.storage")
        for name, kind in _STORAGE_TYPES.items()
    },
}
TENSORS = Names(_TORCH, "tensors", "load it in torch and save model.state_dict() alone")


class _Finder:
    """The given names, and the storages that a pickle has referred to so far."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.storages: Dict[str, Storage] = {}

    def find(self, module: str, name: str) -> Any:
        """Returns the stand-in for a global of the pickle; any other global is refused by name."""
        if (module, name) not in self.names.known:
            raise WeightsError(
                f"expected a pickle of {self.names.part_of} alone, found {module}.{name} in it; it "
                "is refused, because a pickle can run programs. If you trust the file, "
                f"{self.names.remedy}"
            )
        return self.names.known[module, name]

    def load(self, pid: Any) -> Storage:
        """Returns a storage that the pickle refers to, without its bytes."""
        kind, storage_type, key, _, size, *views = pid
        known = isinstance(kind, str) and kind == "storage" and type(storage_type) is StorageType
        if not known or type(key) is not str or not _is_count(size):
            raise WeightsError(
                f"expected a pickle with references to storages, found {reprlib.repr(pid)}"
            )
        if any(view is not None for view in views):
            raise WeightsError(
                f"storage {key}: expected its own memory, found a view of another storage (torch "
                "0.1); load the file in torch and save it again"
            )
        storage = Storage(key, storage_type, size)
        if self.storages.setdefault(key, storage) != storage:
            raise WeightsError(f"storage {key}: expected one description, found two that differ")
        return storage


def unpickle(stream: BinaryIO, names: Names = TENSORS) -> Tuple[Any, Dict[str, Storage]]:
    """Returns the content of the pickle that begins here, and the storages that it refers to.

    Raises WeightsError if the pickle is damaged, asks for more than ``names``, or has more
    operations or bytes than a detector needs.
    """
    finder = _Finder(names)
    try:
        return Machine(finder.find, finder.load, names.encoding).run(stream), finder.storages
    except WeightsError:
        raise
    # A damaged pickle can fail in any way (IndexError, TypeError, MemoryError, ...).
    except Exception as error:
        raise WeightsError(f"expected a pickle, found a damaged or short one: {error}") from error


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
