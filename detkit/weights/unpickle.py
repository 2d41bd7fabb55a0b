"""Unpickles plain containers that describe arrays; it is the only unpickling in detkit.

A pickle is a program. Its opcodes are scanned first. Then an unpickler runs it that knows a handful
of names, each of which only records its arguments. This module has the names of torch's tensors,
whose bytes lie elsewhere in the file; pkl.py has those of numpy's arrays.
"""

import io
import pickle
import pickletools
from typing import Any, BinaryIO, Callable, Dict, Mapping, NamedTuple, Tuple

from detkit.errors import WeightsError

PICKLE_LIMIT = 16 << 20  # bytes without the arrays; a large detector needs some 100 kilobytes
ARRAY = 1 << 12  # bytes; a longer string counts as the bytes of an array


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


class Rebuild(NamedTuple):
    """The stand-in for a function of the pickle; it is a tuple, which the pickle cannot alter."""

    function: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


class PlainDict(dict):
    """The stand-in for OrderedDict, without the attributes (torch's _metadata) of a pickle."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Drops the attributes: one named `items` would hide the method."""


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> TensorView:
    counts = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or any(type(n) is not int or n < 0 for n in counts):
        raise WeightsError(f"a tensor: expected integers of at least 0, found {counts}")
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
    ("collections", "OrderedDict"): Rebuild(PlainDict),
    ("torch", "Size"): Rebuild(tuple),
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


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the given names and the ids of storages alone."""

    def __init__(self, data: bytes, names: Names) -> None:
        super().__init__(io.BytesIO(data), encoding=names.encoding)
        self.names = names
        self.storages: Dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in for a global of the pickle; any other global is refused by name."""
        if (module, name) not in self.names.known:
            raise WeightsError(
                f"expected a pickle of {self.names.part_of} alone, found {module}.{name} in it; it "
                "is refused, because a pickle can run programs. If you trust the file, "
                f"{self.names.remedy}"
            )
        return self.names.known[module, name]

    def persistent_load(self, pid: Any) -> Storage:
        """Returns a storage that the pickle refers to, without its bytes."""
        kind, storage_type, key, _, size, *views = pid
        known = kind == "storage" and isinstance(storage_type, StorageType)
        if not known or type(key) is not str or type(size) is not int or size < 0:
            raise WeightsError(f"expected a pickle with references to storages, found {pid!r}")
        if any(view is not None for view in views):
            raise WeightsError(
                f"storage {key}: expected its own memory, found a view of another storage (torch "
                "0.1); load the file in torch and save it again"
            )
        storage = Storage(key, storage_type, size)
        if self.storages.setdefault(key, storage) != storage:
            raise WeightsError(f"storage {key}: expected one description, found two that differ")
        return storage


def _next_pickle(stream: BinaryIO) -> bytes:
    """Returns the bytes of the pickle that begins here after scanning it without running it."""
    start = stream.tell()
    arrays = 0  # bytes
    for opcode, argument, position in pickletools.genops(stream):
        begin = position or start
        if begin - start - arrays > PICKLE_LIMIT:
            raise WeightsError(
                f"expected a pickle of at most {PICKLE_LIMIT >> 20} MiB without its arrays, found "
                "a larger one"
            )
        if stream.tell() - begin > ARRAY:
            arrays += stream.tell() - begin
        # The unpickler's memo is an array: one far index would allocate gigabytes.
        if "PUT" in opcode.name and isinstance(argument, int) and argument > begin - start:
            raise WeightsError(
                f"damaged pickle: expected memo indices up to {begin - start}, found {argument}"
            )
    end = stream.tell()
    stream.seek(start)
    return stream.read(end - start)


def unpickle(stream: BinaryIO, names: Names = TENSORS) -> Tuple[Any, Dict[str, Storage]]:
    """Returns the content of the pickle that begins here, and the storages that it refers to.

    Raises WeightsError if the pickle is damaged or asks for more than ``names``.
    """
    try:
        unpickler = _Unpickler(_next_pickle(stream), names)
        return unpickler.load(), unpickler.storages
    except WeightsError:
        raise
    # A damaged pickle can fail in any way (IndexError, TypeError, MemoryError, ...).
    except Exception as error:
        raise WeightsError(f"expected a pickle, found a damaged or short one: {error}") from error
