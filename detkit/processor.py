"""What the processor can calculate with, and how much of it this process may use.

oneDNN, which runs MXNet's layers, and detkit's kernels each take the widest instructions that they
find. The variable DETKIT_ISA holds both to a level below: one machine then calculates as another
would, which is what the tests and the tables of the README are made with.
"""

import os
import platform
import sys
from typing import FrozenSet, NamedTuple

from detkit.errors import ConfigError

VARIABLE = "DETKIT_ISA"
ONEDNN_VARIABLE = "DNNL_MAX_CPU_ISA"  # read by MXNet's oneDNN when it is first used
CPU_INFO = "/proc/cpuinfo"


class Level(NamedTuple):
    """A set of instructions that a processor has or has not as a whole.

    name: a value of DETKIT_ISA. title: for people. onednn: a value of DNNL_MAX_CPU_ISA.
    flags: what Linux calls the instructions.
    """

    name: str
    title: str
    onednn: str
    flags: FrozenSet[str]


def _levels():
    avx2 = frozenset({"avx2", "fma"})
    avx512 = avx2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
    vnni = avx512 | {"avx512_vnni"}
    bf16 = vnni | {"avx512_bf16"}
    return (
        Level("baseline", "SSE", "SSE41", frozenset()),
        Level("avx2", "AVX2", "AVX2", avx2),
        Level("avx2_vnni", "AVX2 with VNNI", "AVX2_VNNI", avx2 | {"avx_vnni"}),
        Level("avx512", "AVX-512", "AVX512_CORE", avx512),
        Level("avx512_vnni", "AVX-512 with VNNI", "AVX512_CORE_VNNI", vnni),
        Level("avx512_bf16", "AVX-512 with VNNI and bfloat16", "AVX512_CORE_BF16", bf16),
        Level("amx", "AMX", "AVX512_CORE_AMX", bf16 | {"amx_tile", "amx_int8", "amx_bf16"}),
    )


LEVELS = _levels()  # the order of preference
OTHER = Level("baseline", "NEON", "", frozenset())  # beside x86, MXNet is built for ARM alone
VNNI = ("avx2_vnni", "avx512_vnni", "avx512_bf16", "amx")  # sums of 8-bit products in 32 bits
BFLOAT16 = ("avx512_bf16", "amx")


def limit_instructions():
    """Hold oneDNN to DETKIT_ISA, unless DNNL_MAX_CPU_ISA says how far it may go.

    oneDNN reads its variable once: after MXNet is imported, this does nothing.
    """
    if VARIABLE in os.environ and ONEDNN_VARIABLE not in os.environ and "mxnet" not in sys.modules:
        names = [each.name for each in LEVELS]
        if os.environ[VARIABLE] in names and is_x86():
            os.environ[ONEDNN_VARIABLE] = _best(names.index(os.environ[VARIABLE])).onednn


def level():
    """The Level that layers are calculated with: the processor's, or less where a variable asks.

    Raises ConfigError for a DETKIT_ISA that is no level.
    """
    names = [each.name for each in LEVELS]
    asked = os.environ.get(VARIABLE)
    if asked is not None and asked not in names:
        raise ConfigError(
            f"environment variable {VARIABLE}: expected one of {', '.join(names)}, found {asked!r}"
        )
    if not is_x86():
        return OTHER
    by_onednn = {each.onednn: position for position, each in enumerate(LEVELS)}
    top = len(LEVELS) - 1
    limit = by_onednn.get(os.environ.get(ONEDNN_VARIABLE, "").upper(), top)
    return _best(min(limit, names.index(asked) if asked else top))


def levels():
    """Every Level that this processor has, the narrowest first."""
    return [each for each in LEVELS if each.flags <= flags()] if is_x86() else [OTHER]


def below():
    """The names of the levels that this process could still be held to, the narrowest first."""
    names = [each.name for each in levels()]
    return names[: names.index(level().name)]


def has_vnni():
    """Whether layers sum products of 8 bits exactly; other x86 add two of them in 16 bits, and
    saturate (oneDNN's "Nuances of int8 Computations")."""
    return not is_x86() or level().name in VNNI


def has_bfloat16():
    """Whether layers calculate with bfloat16; elsewhere oneDNN at best emulates it, slowly."""
    return level().name in BFLOAT16


def describe():
    """One line: the processor's name, the level in use and, where it is not the best one, why."""
    best, used = levels()[-1], level()
    text = f"{_field('model name') or platform.machine()}, {used.title}"
    if used == best:
        return text
    variable = VARIABLE if VARIABLE in os.environ else ONEDNN_VARIABLE
    return f"{text}: held to it by {variable}={os.environ[variable]}, it has {best.title}"


def is_x86():
    return platform.machine() in ("x86_64", "AMD64")


def flags():
    """The instructions that Linux lists for this processor, a set of words."""
    return frozenset(_field("flags").split())


def _best(limit):
    """The last of the LEVELS up to number ``limit`` that the processor has."""
    return [each for each in LEVELS[: limit + 1] if each.flags <= flags()][-1]


def _field(name):
    """The text of the first line of CPU_INFO with that name; "" without one."""
    try:
        with open(CPU_INFO, encoding="utf-8") as file:
            lines = (line.partition(":") for line in file)
            return next((text.strip() for key, _, text in lines if key.strip() == name), "")
    except OSError:
        return ""
