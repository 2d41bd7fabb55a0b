"""A pickle -> plain containers that describe arrays; the only unpickling in detkit.

A pickle is a program. Its opcodes are scanned first, then an unpickler runs it that reaches a
handful of names, none of which does more than take notes. What those of torch's tensors note is
here, the bytes themselves are elsewhere in the file; numpy's arrays are in pkl.py.
"""

import io
import pickle
import pickletools
from typing import Any, BinaryIO, Callable, Dict, Mapping, NamedTuple, Tuple

from detkit.errors import WeightsError

PICKLE_LIMIT = 16 << 20  # bytes beside those of arrays; a large detector's are some 100 kilobytes
ARRAY = 1 << 12  # bytes; a string that is longer is taken for an array's


class StorageType(NamedTuple):
    """The element type of a storage; bfloat16, unknown to numpy, is read as uint16 and widened."""

    dtype: str
    bfloat16: bool = False


class Storage(NamedTuple):
    """One run of memory in the file, `size` elements long, not read yet."""

    key: str
    type: StorageType
    size: int


class TensorView(NamedTuple):
    """A strided view of a storage; all numbers count elements."""

    storage: Storage
    offset: int
    shape: Tuple[int, ...]
    strides: Tuple[int, ...]


class Rebuild(NamedTuple):
    """A function as the pickle sees it. A tuple, so that the pickle cannot alter it."""

    function: Callable[..., Any]

    def __call__(self, *args):
        return self.function(*args)


class PlainDict(dict):
    """Stands for OrderedDict, without the attributes (torch's _metadata) a pickle may give it."""

    __slots__ = ()

    def __setstate__(self, state):
        """Attributes are dropped: one named `items` would hide the method."""


def _rebuild_tensor(storage, offset, shape, strides, *_):
    counts = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or any(type(n) is not int or n < 0 for n in counts):
        raise WeightsError(f"a tensor is described by impossible numbers: {counts}")
    if len(shape) != len(strides):
        raise WeightsError(f"a tensor of shape {tuple(shape)} has strides {tuple(strides)}")
    return TensorView(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, *_):
    if not isinstance(tensor, TensorView):
        raise WeightsError(f"a parameter is made of {type(tensor).__name__}, not of a tensor")
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
    """Every name a kind of pickle may use; there is no other way to reach an object.

    known: {(module, name): the stand-in for it}.
    part_of: what the names are for. remedy: what to do with a file that asks for others.
    encoding: of the strings of Python 2, which were bytes.
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
TENSORS = Names(_TORCH, "a tensor", "load it in torch and save model.state_dict() alone")


class _Unpickler(pickle.Unpickler):
    """Knows the given names and the ids of storages, and nothing else."""

    def __init__(self, data: bytes, names: Names):
        super().__init__(io.BytesIO(data), encoding=names.encoding)
        self.names = names
        self.storages: Dict[str, Storage] = {}

    def find_class(self, module, name):
        """The stand-in for a global of the pickle; every other global is refused by name."""
        if (module, name) not in self.names.known:
            raise WeightsError(
                f"its pickle asks for {module}.{name}, which is not part of {self.names.part_of}; "
                "files of weights can hold programs, so it is refused. If you trust the file, "
                f"{self.names.remedy}"
            )
        return self.names.known[module, name]

    def persistent_load(self, pid):
        """A storage that the pickle refers to, still without its bytes."""
        kind, storage_type, key, _, size, *views = pid
        known = kind == "storage" and isinstance(storage_type, StorageType)
        if not known or type(key) is not str or type(size) is not int or size < 0:
            raise WeightsError(f"its pickle names a storage in an unknown way: {pid!r}")
        if any(view is not None for view in views):
            raise WeightsError(f"storage {key} is a view of another (torch 0.1): save it anew")
        storage = Storage(key, storage_type, size)
        if self.storages.setdefault(key, storage) != storage:
            raise WeightsError(f"its pickle describes storage {key} in two ways")
        return storage


def _next_pickle(stream: BinaryIO) -> bytes:
    """The bytes of the pickle that begins here, scanned to its end without running it."""
    start = stream.tell()
    arrays = 0  # bytes
    for opcode, argument, position in pickletools.genops(stream):
        if position - start - arrays > PICKLE_LIMIT:
            raise WeightsError(
                f"its pickle is larger than {PICKLE_LIMIT >> 20} MiB without its arrays"
            )
        if stream.tell() - position > ARRAY:
            arrays += stream.tell() - position
        # The unpickler's memo is an array: one far index would allocate gigabytes.
        if "PUT" in opcode.name and argument > position - start:
            raise WeightsError(f"its pickle has an impossible memo index, {argument}")
    end = stream.tell()
    stream.seek(start)
    return stream.read(end - start)


def unpickle(stream: BinaryIO, names: Names = TENSORS) -> Tuple[Any, Dict[str, Storage]]:
    """What the pickle that begins here describes, and the storages it names.

    Raises WeightsError where it is damaged, and where it asks for more than ``names``.
    """
    try:
        unpickler = _Unpickler(_next_pickle(stream), names)
        return unpickler.load(), unpickler.storages
    except WeightsError:
        raise
    # A damaged pickle can fail in any way (IndexError, TypeError, MemoryError, ...).
    except Exception as error:
        raise WeightsError(f"its pickle is damaged or cut short: {error}") from error
