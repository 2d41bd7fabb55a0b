"""Files of torch.save made by hand, opcode by opcode, and where published ones lie."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from detkit.errors import WeightsError
from detkit.weights import read_pth
from detkit.weights.pth import LEGACY_MAGIC, LEGACY_PROTOCOL
from support.environment import SHARED

WEIGHTS = SHARED / "data" / "weights"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"{WEIGHTS} is not there")
NUMBERS = np.arange(24, dtype=np.float32)


# --- A pickle's parts, as torch writes them -----------------------------------------------------


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    return pickle.dumps(value, 2)[2:-1]


def several(*items):
    return b"(" + b"".join(items) + b"t"


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def call(function, *arguments):
    return function + several(*arguments) + b"R"


def storage(key="0", size=24, kind="FloatStorage", module="torch", extra=()):
    parts = (text("storage"), name(module, kind), text(key), text("cpu"), number(size))
    return several(*parts, *extra) + b"Q"


def tensor(shape=(4, 6), strides=(6, 1), offset=0, memory=None):
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        storage() if memory is None else memory,
        number(offset),
        several(*map(number, shape)),
        several(*map(number, strides)),
        b"\x89",
        call(name("collections", "OrderedDict")),
    )


def mapping(**items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def ordered(**items):
    pairs = b"](" + b"".join(several(text(k), v) for k, v in items.items()) + b"e"
    return call(name("collections", "OrderedDict"), pairs)


def program(body):
    return b"\x80\x02" + body + b"."


def write_zip(path, body, storages=None, members=None, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", program(body))
        for key, data in (storages or {"0": NUMBERS.tobytes()}).items():
            archive.writestr(f"archive/data/{key}", data)
        for member, data in (members or {}).items():
            archive.writestr(member, data)
    return path


def write_legacy(path, body, storages=None):
    arrays = storages or {"0": NUMBERS}
    stream = io.BytesIO()
    for value in (LEGACY_MAGIC, LEGACY_PROTOCOL, {"little_endian": True}):
        stream.write(pickle.dumps(value, 2))
    stream.write(program(body))
    stream.write(pickle.dumps(list(arrays), 2))
    for array in arrays.values():
        stream.write(struct.pack("<q", array.size) + array.tobytes())
    path.write_bytes(stream.getvalue())
    return path


LEGACY_MEMORY = storage(extra=(b"N",))


def refused(path):
    """The message that refuses the file; it names it."""
    with pytest.raises(WeightsError) as caught:
        read_pth(path)
    assert str(path) in str(caught.value)
    return str(caught.value)
