"""Reads torch.save's files as numpy arrays, without torch and without running anything in them.

There are two formats: the zip archive (torch >= 1.6) and the older stream of pickles. The pickle
only describes the tensors (see unpickle.py). Their bytes are then read from the file, and each
tensor is checked to lie within its own storage.
"""

import io
import math
import reprlib
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Literal, Mapping, Set, Union

import numpy as np

from detkit.errors import WeightsError
from detkit.weights.unpickle import Storage, TensorView, unpickle
from detkit.wording import first_few

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
MOST_REPEATED = 2**20  # elements of a tensor that repeats those of its storage

Order = Literal["<", ">"]  # of bytes: little-endian, big-endian


def read_pth(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """Returns the tensors of a file of torch.save by name.

    The file holds a state dict, or a dict with one state dict in it (``{"model": {...}}``). The
    arrays are read-only views with the tensors' shapes; bfloat16 becomes float32. Nothing in the
    file is executed.

    Raises WeightsError, with the path, for any other file and for a pickle that asks for more than
    tensors.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            read = _read_zip if file.read(4) == b"PK\x03\x04" else _read_legacy
            file.seek(0)
            return read(file, path.stat().st_size)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _read_zip(file: BinaryIO, file_size: int) -> Dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(file) as archive:
            return _read_archive(archive, file_size)
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, struct.error) as error:
        raise WeightsError(
            f"damaged or cut short: expected a zip archive, found {file_size} bytes: {error}"
        ) from error


def _read_archive(archive: zipfile.ZipFile, file_size: int) -> Dict[str, np.ndarray]:
    pickles = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1:
        members = first_few(archive.namelist()) or "nothing"
        raise WeightsError(f"expected a zip archive of torch.save, found one that holds {members}")
    folder = pickles[0].split("/")[0]
    unread = file_size

    def member(name: str) -> bytes:
        """Returns a member's bytes; nothing is unpacked to disk, so its name cannot do harm."""
        nonlocal unread
        if f"{folder}/{name}" not in archive.NameToInfo:
            raise WeightsError(f"expected the member {folder}/{name}, found no such member")
        info = archive.getinfo(f"{folder}/{name}")
        unread -= info.file_size
        # torch does not compress members, so that together they are smaller than the file.
        # The size in the archive is stated as well, and read at once.
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not stored or unread < 0:
            raise WeightsError(
                f"{info.filename}: expected a member without compression, as torch.save writes it, "
                f"found one of {info.file_size} bytes that is compressed or larger than the file, "
                "as in a zip bomb"
            )
        return archive.read(info)

    state = _state_dict(unpickle(io.BytesIO(member("data.pkl")))[0])
    big = f"{folder}/byteorder" in archive.namelist() and member("byteorder") == b"big"
    storages = {s.key: member(f"data/{s.key}") for s in _storages(state)}
    return _arrays(state, storages, ">" if big else "<")


def _read_legacy(file: BinaryIO, file_size: int) -> Dict[str, np.ndarray]:
    try:
        magic, _ = unpickle(file)
    except WeightsError:
        magic = None
    if type(magic) is not int or magic != LEGACY_MAGIC:
        file.seek(0)
        raise WeightsError(
            f"expected a file of torch.save, found {_describe(file.read(64), file_size)}"
        )
    protocol, _ = unpickle(file)
    if type(protocol) is not int or protocol != LEGACY_PROTOCOL:
        raise WeightsError(
            f"expected the protocol {LEGACY_PROTOCOL}, found {reprlib.repr(protocol)}"
        )
    system, _ = unpickle(file)
    content, described = unpickle(file)
    keys, _ = unpickle(file)
    # A legacy key may be a number. The text of a nested tuple would never end.
    names = [str(key) for key in keys if type(key) in (str, int)] if isinstance(keys, list) else []
    if not isinstance(keys, list) or len(names) < len(keys) or not described.keys() >= set(names):
        raise WeightsError("expected a list of the tensors' storages, found another")
    order: Order = (
        ">" if isinstance(system, dict) and not system.get("little_endian", True) else "<"
    )
    state = _state_dict(content)
    storages = _read_storages(file, file_size, [described[name] for name in names], order)
    return _arrays(state, storages, order)


def _read_storages(
    file: BinaryIO, file_size: int, described: List[Storage], order: Order
) -> Dict[str, bytes]:
    """Reads the bytes behind the pickles: the size of each storage in 64 bits, and its elements."""
    storages = {}
    for storage in described:
        size = int.from_bytes(file.read(8), "big" if order == ">" else "little")
        length = size * np.dtype(storage.type.dtype).itemsize
        if size != storage.size or length > file_size - file.tell():
            raise WeightsError(
                f"damaged or cut short: storage {storage.key}: expected {storage.size} elements, "
                f"found {size} ({file_size - file.tell()} bytes are left)"
            )
        storages[storage.key] = file.read(length)
    return storages


def _describe(head: bytes, file_size: int) -> str:
    """Returns what a file that is no .pth seems to be."""
    if not file_size:
        return "an empty file"
    if head.lstrip()[:1] == b"<":
        return f"an HTML page, perhaps of a failed download: {head!r}"
    return f"{file_size} bytes that begin with {head[:16]!r}"


def _state_dict(content: Any) -> Dict[str, TensorView]:
    """Returns the one mapping of tensors in the unpickled content: itself or one of its values."""
    if not isinstance(content, dict):
        raise WeightsError(f"expected a dict of tensors, found {type(content).__name__}")
    inner = {
        key: value
        for key, value in content.items()
        if isinstance(value, dict) and any(isinstance(v, TensorView) for v in value.values())
    }
    if len(inner) > 1:
        raise WeightsError(
            f"expected one dict of tensors, found {', '.join(map(repr, inner))}; save one of them"
        )
    chosen = next(iter(inner.values()), content)
    tensors = {str(key): value for key, value in chosen.items() if isinstance(value, TensorView)}
    if not tensors:
        keys = first_few([repr(key) for key in content], 10) or "nothing"
        raise WeightsError(f"expected tensors, found the keys {keys}")
    return tensors


def _storages(state: Mapping[str, TensorView]) -> Set[Storage]:
    return {tensor.storage for tensor in state.values()}


def _arrays(
    state: Mapping[str, TensorView], storages: Mapping[str, bytes], order: Order
) -> Dict[str, np.ndarray]:
    missing = [s.key for s in _storages(state) if s.key not in storages]
    if missing:
        raise WeightsError(
            f"expected data of every storage, found none of {first_few(missing, 10)}"
        )
    memory = {s: _elements(s, storages[s.key], order) for s in _storages(state)}
    return {name: _view(name, tensor, memory[tensor.storage]) for name, tensor in state.items()}


def _elements(storage: Storage, data: bytes, order: Order) -> np.ndarray:
    """Returns a storage's bytes as a flat read-only array in the machine's byte order."""
    dtype = np.dtype(storage.type.dtype).newbyteorder(order)
    if len(data) != storage.size * dtype.itemsize:
        raise WeightsError(
            f"storage {storage.key}: expected {storage.size * dtype.itemsize} bytes, found "
            f"{len(data)}"
        )
    elements = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    if storage.type.bfloat16:
        elements = (elements.astype(np.uint32) << 16).view(np.float32)
    elements.flags.writeable = False
    return elements


def _view(name: str, tensor: TensorView, elements: np.ndarray) -> np.ndarray:
    """Returns the tensor's elements; numpy checks the bounds a second time."""
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides))
    if math.prod(tensor.shape) and last >= elements.size:
        raise WeightsError(
            f"tensor {name!r} (shape {tensor.shape}, strides {tensor.strides}, offset "
            f"{tensor.offset}): expected a storage of at least {last + 1} elements, found "
            f"{elements.size}"
        )
    # A stride of 0 repeats elements: without a limit, a few bytes would make an array of any size.
    if math.prod(tensor.shape) > max(elements.size, MOST_REPEATED):
        raise WeightsError(
            f"tensor {name!r} of shape {tensor.shape}: expected at most the {elements.size} "
            f"elements of its storage, found {math.prod(tensor.shape)}"
        )
    size = elements.itemsize
    offset, strides = tensor.offset * size, tuple(stride * size for stride in tensor.strides)
    try:
        if not math.prod(tensor.shape):
            return np.empty(tensor.shape, elements.dtype)
        return np.ndarray(tensor.shape, elements.dtype, elements.data, offset, strides)
    except (ValueError, OverflowError) as error:
        raise WeightsError(f"tensor {name!r} of shape {tensor.shape}: {error}") from error
