"""Calls of kernels.h in another process, which may be that of another processor under qemu.

``call_kernels.cc`` is linked with a library of operators and makes the calls. An argument is a
scalar of numpy, of the type that the function takes; an array; a struct of ctypes; None for a null
pointer; a list of arrays; or an Out.
"""

import ctypes
import os
import struct
import subprocess
from math import prod
from pathlib import Path
from typing import NamedTuple, Tuple

import numpy as np

from support import tiny

NATIVE = tiny.ROOT / "detkit/ops/native"
SOURCE = tiny.ROOT / "tests/ops/native/call_kernels.cc"
UNWRITTEN = b"\xa5"


class Out(NamedTuple):
    """An array that the function writes."""

    shape: Tuple[int, ...]
    dtype: str = "float32"

    @property
    def bytes(self):
        return prod(self.shape) * np.dtype(self.dtype).itemsize


class Call(NamedTuple):
    name: str  # of the function
    arguments: tuple

    @property
    def outputs(self):
        for argument in self.arguments:
            for each in argument if type(argument) is list else [argument]:
                if isinstance(each, Out):
                    yield each

    def encoded(self):
        return self.name.encode() + b"\n" + b"".join(map(_encoded, self.arguments))


class Conv3x3(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("images", "in_channels", "out_channels")),
        *((name, ctypes.c_int) for name in ("height", "width", "relu")),
        ("most", ctypes.c_float),
        *((name, ctypes.c_int) for name in ("bfloat16", "keeps", "pools")),
    ]


class Conv1x1(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("images", "in_channels", "out_channels")),
        *((name, ctypes.c_int) for name in ("height", "width", "stride", "relu")),
        ("most", ctypes.c_float),
        ("bfloat16", ctypes.c_int),
    ]


class Depthwise(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("images", "channels", "height", "width")),
        *((name, ctypes.c_int) for name in ("stride", "relu")),
        ("most", ctypes.c_float),
    ]


def link(compiler, library, program):
    """Compiles call_kernels.cc with a compiler, for a library of operators; returns the program."""
    flags = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-I", NATIVE)
    search = f"-Wl,-rpath,{Path(library).parent}"
    subprocess.run([compiler, *flags, SOURCE, library, search, "-o", program], check=True)
    return program


def results(command, calls, threads=1):
    """The list of outputs of each call, by a program of ``link`` that a command starts."""
    done = subprocess.run(
        list(map(str, command)),
        input=b"".join(call.encoded() for call in calls),
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    left, found = memoryview(done.stdout), []
    for call in calls:
        (status,), left = struct.unpack("i", left[:4]), left[4:]
        outputs = [np.int32(status)]
        for out in call.outputs:
            outputs.append(np.frombuffer(left[: out.bytes], out.dtype).reshape(out.shape))
            left = left[out.bytes :]
        found.append(outputs)
    assert not left
    return found


def _encoded(argument):
    if argument is None:
        return struct.pack("q", -1)
    if isinstance(argument, Out):
        return struct.pack("q", argument.bytes) + UNWRITTEN * argument.bytes
    if isinstance(argument, list):
        return struct.pack("q", len(argument)) + b"".join(map(_encoded, argument))
    if isinstance(argument, tuple):  # a DetkitLevel
        return b"".join(map(_encoded, argument))
    if isinstance(argument, np.generic):
        return argument.tobytes()
    content = argument.tobytes() if isinstance(argument, np.ndarray) else bytes(argument)
    return struct.pack("q", len(content)) + content
