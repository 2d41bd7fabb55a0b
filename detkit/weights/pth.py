"""torch.save's files as numpy arrays, without torch and without running anything in them.

Both formats are known: the zip archive (torch >= 1.6) and the stream of pickles before it. The
pickle only describes the tensors (see unpickle.py); their bytes are then read from the file, each
tensor within the bounds of its own storage.
"""

import io
import math
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Mapping, Set, Union

import numpy as np

from detkit.errors import WeightsError
from detkit.weights.unpickle import Storage, TensorView, unpickle

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


def read_pth(path: Union[str, Path]) -> Dict[str, np.ndarray]:
    """The tensors of a file written by torch.save, by name.

    The file holds a state dict, or a dict with one state dict in it (``{"model": {...}}``).
    The arrays are read-only views with the shapes the tensors had; bfloat16 becomes float32.

    Raises WeightsError, with the path and what was found, for anything that is not such a file and
    for every pickle that asks for more than tensors. Nothing in the file is ever executed.
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
            f"a zip archive of {file_size} bytes, damaged or cut short: {error}"
        ) from error


def _read_archive(archive: zipfile.ZipFile, file_size: int) -> Dict[str, np.ndarray]:
    pickles = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1:
        some = ", ".join(archive.namelist()[:5]) or "nothing"
        raise WeightsError(f"a zip archive, but not one of torch.save: it holds {some}")
    folder = pickles[0].split("/")[0]
    unread = file_size

    def member(name: str) -> bytes:
        """A member's bytes. Nothing is unpacked to disk, so its name leads nowhere."""
        nonlocal unread
        if f"{folder}/{name}" not in archive.NameToInfo:
            raise WeightsError(f"its archive has no member {folder}/{name}")
        info = archive.getinfo(f"{folder}/{name}")
        unread -= info.file_size
        # torch stores members as they are, so together they are smaller than the file.
        if info.compress_type != zipfile.ZIP_STORED or unread < 0:
            raise WeightsError(
                f"its member {info.filename} is compressed or larger than the file "
                f"({info.file_size} bytes unpacked), as in a zip bomb; torch.save stores it as is"
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
        raise WeightsError(f"not a file of torch.save: {_describe(file.read(64), file_size)}")
    protocol, _ = unpickle(file)
    if protocol != LEGACY_PROTOCOL:
        raise WeightsError(f"its protocol is {protocol!r}, expected {LEGACY_PROTOCOL}")
    system, _ = unpickle(file)
    found, described = unpickle(file)
    keys, _ = unpickle(file)
    if not isinstance(keys, list) or any(key not in described for key in map(str, keys)):
        raise WeightsError("its list of storages does not fit its tensors")
    order = ">" if isinstance(system, dict) and not system.get("little_endian", True) else "<"
    state = _state_dict(found)
    storages = _read_storages(file, file_size, [described[str(key)] for key in keys], order)
    return _arrays(state, storages, order)


def _read_storages(file, file_size: int, described: List[Storage], order: str) -> Dict[str, bytes]:
    """The raw bytes behind the pickles: for each storage its size in 64 bits, then its elements."""
    storages = {}
    for storage in described:
        size = int.from_bytes(file.read(8), "big" if order == ">" else "little")
        length = size * np.dtype(storage.type.dtype).itemsize
        if size != storage.size or length > file_size - file.tell():
            raise WeightsError(
                f"damaged or cut short: storage {storage.key} has {size} elements, expected "
                f"{storage.size}, and {file_size - file.tell()} bytes are left"
            )
        storages[storage.key] = file.read(length)
    return storages


def _describe(head: bytes, file_size: int) -> str:
    """What a file that is no .pth seems to be."""
    if not file_size:
        return "it is empty"
    if head.lstrip()[:1] == b"<":
        return f"it is an HTML page, as a failed download leaves it: {head!r}"
    return f"it has {file_size} bytes and begins with {head[:16]!r}"


def _state_dict(found: Any) -> Dict[str, TensorView]:
    """The one mapping of tensors in what was unpickled: the dict itself or one of its values."""
    if not isinstance(found, dict):
        raise WeightsError(f"it holds no dict of tensors, only {type(found).__name__}")
    inner = {
        key: value
        for key, value in found.items()
        if isinstance(value, dict) and any(isinstance(v, TensorView) for v in value.values())
    }
    if len(inner) > 1:
        raise WeightsError(
            f"it holds several dicts of tensors ({', '.join(map(repr, inner))}): save one of them"
        )
    chosen = next(iter(inner.values()), found)
    tensors = {str(key): value for key, value in chosen.items() if isinstance(value, TensorView)}
    if not tensors:
        some = ", ".join(map(repr, list(found)[:10])) or "nothing"
        raise WeightsError(f"it holds no tensors, only {some}")
    return tensors


def _storages(state: Mapping[str, TensorView]) -> Set[Storage]:
    return {tensor.storage for tensor in state.values()}


def _arrays(state: Mapping[str, TensorView], storages: Mapping[str, bytes], order: str):
    missing = [s.key for s in _storages(state) if s.key not in storages]
    if missing:
        raise WeightsError(f"it has no data for the storages {', '.join(missing[:10])}")
    memory = {s: _elements(s, storages[s.key], order) for s in _storages(state)}
    return {name: _view(name, tensor, memory[tensor.storage]) for name, tensor in state.items()}


def _elements(storage: Storage, data: bytes, order: str) -> np.ndarray:
    """A storage's bytes as a flat read-only array of the machine's own byte order."""
    dtype = np.dtype(storage.type.dtype).newbyteorder(order)
    if len(data) != storage.size * dtype.itemsize:
        raise WeightsError(
            f"storage {storage.key} has {len(data)} bytes, expected {storage.size * dtype.itemsize}"
        )
    elements = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    if storage.type.bfloat16:
        elements = (elements.astype(np.uint32) << 16).view(np.float32)
    elements.flags.writeable = False
    return elements


def _view(name: str, tensor: TensorView, elements: np.ndarray) -> np.ndarray:
    """The tensor's elements; numpy itself checks the bounds a second time."""
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides))
    if math.prod(tensor.shape) and last >= elements.size:
        raise WeightsError(
            f"tensor {name!r} (shape {tensor.shape}, strides {tensor.strides}, offset "
            f"{tensor.offset}) reaches element {last} of a storage of {elements.size}"
        )
    size = elements.itemsize
    offset, strides = tensor.offset * size, tuple(stride * size for stride in tensor.strides)
    try:
        if not math.prod(tensor.shape):
            return np.empty(tensor.shape, elements.dtype)
        return np.ndarray(tensor.shape, elements.dtype, elements.data, offset, strides)
    except (ValueError, OverflowError) as error:
        raise WeightsError(f"tensor {name!r} of shape {tensor.shape}: {error}") from error
