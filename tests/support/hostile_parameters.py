"""Parameter files of an export that are damaged or made to harm, and what a message then names."""

import mxnet as mx
import numpy as np

from detkit.export.manifest import PARAMETERS
from support.hostile_exports import change_file


def _arrays(change):
    def written(path):
        arrays = mx.nd.load(str(path))
        change(arrays)
        mx.nd.save(str(path), arrays)

    return written


def _bytes(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _put(data, offset, number, size):
    return data[:offset] + number.to_bytes(size, "little") + data[offset + size :]


def _flat(arrays):
    name = next(name for name in arrays if arrays[name].ndim == 4)
    arrays[name] = arrays[name].reshape((-1,))


# Bytes 0 to 8 of a parameter file are its magic number, 8 to 16 are zero, and 16 to 24 are the
# number of arrays. The first array begins at 24: its magic number, storage, axes, then its sides.
PARAMETER_FILES = {
    "no bytes": (_bytes(lambda data: b""), ("begins",)),
    "another file": (_bytes(lambda data: b"{}" + data), ("begins",)),
    "a cut file": (_bytes(lambda data: data[:-100]), ("cut short",)),
    "a longer file": (_bytes(lambda data: data + b"x"), ("1 more",)),
    "2^64 - 1 arrays": (_bytes(lambda data: _put(data, 16, 2**64 - 1, 8)), ("cut short",)),
    "an array that is sparse": (_bytes(lambda data: _put(data, 28, 1, 4)), ("dense",)),
    "many axes": (_bytes(lambda data: _put(data, 32, 10**9, 4)), ("axes", "1000000000")),
    "a huge side": (_bytes(lambda data: _put(data, 36, 2**40, 8)), ()),
    "sides whose product is 2^64": (_bytes(lambda data: _put(data, 36, 2**62, 8)), ()),
    "a negative side": (_bytes(lambda data: _put(data, 36, 2**64 - 1, 8)), ()),
    "one less": (_arrays(lambda arrays: arrays.popitem()), ("the variable", "the parameter file")),
    "one more": (_arrays(lambda arrays: arrays.update({"arg:more": mx.nd.ones(1)})), ("arg:more",)),
    "one without a prefix": (
        _arrays(lambda arrays: arrays.update({"more": mx.nd.ones(1)})),
        ("'more'",),
    ),
    "another shape": (_arrays(_flat), ("__shape__", "the parameter file")),
    "another type": (
        _arrays(lambda arrays: arrays.update({k: v.astype("int8") for k, v in arrays.items()})),
        ("__dtype__", "the parameter file"),
    ),
}


def break_weights(folder, value=np.nan):
    """Puts a value that is no number into every parameter of a folder."""

    def change(arrays):
        arrays.update({name: array * value for name, array in arrays.items()})

    change_file(folder, PARAMETERS, _arrays(change))
