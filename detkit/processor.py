"""The instructions of the processor, and the part of them that this process may use.

oneDNN, which runs MXNet's layers, and detkit's kernels each use the widest instructions that the
processor has. The variable DETKIT_ISA limits both to a lower level. One machine then calculates
like an older one, which the tests and the tables of the README need.
"""

import os
import platform
import sys
from typing import FrozenSet, List, NamedTuple, Tuple

from detkit.errors import ConfigError

VARIABLE = "DETKIT_ISA"
ONEDNN_VARIABLE = "DNNL_MAX_CPU_ISA"  # read by MXNet's oneDNN when it is first used
CPU_INFO = "/proc/cpuinfo"


class Level(NamedTuple):
    """A set of instructions that a processor has as a whole or not at all.

    name: the value of DETKIT_ISA.
    title: the name for people.
    onednn: the value of DNNL_MAX_CPU_ISA.
    flags: Linux's names of the instructions.
    """

    name: str
    title: str
    onednn: str
    flags: FrozenSet[str]


def _levels() -> Tuple[Level, ...]:
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


LEVELS = _levels()  # the best last
OTHER = Level("baseline", "NEON", "", frozenset())  # MXNet is built for x86 and ARM alone
VNNI = ("avx2_vnni", "avx512_vnni", "avx512_bf16", "amx")  # sums of 8-bit products in 32 bits
BFLOAT16 = ("avx512_bf16", "amx")


def limit_instructions() -> None:
    """Limits oneDNN to DETKIT_ISA, unless its own variable DNNL_MAX_CPU_ISA is set.

    oneDNN reads its variable once: after MXNet is imported, this function does nothing.
    """
    if VARIABLE in os.environ and ONEDNN_VARIABLE not in os.environ and "mxnet" not in sys.modules:
        names = [known.name for known in LEVELS]
        if os.environ[VARIABLE] in names and is_x86():
            os.environ[ONEDNN_VARIABLE] = _best(names.index(os.environ[VARIABLE])).onednn


def level() -> Level:
    """Returns the Level that this process calculates with.

    It is the processor's best level, or a lower one that DETKIT_ISA or DNNL_MAX_CPU_ISA asks for.
    Raises ConfigError for a DETKIT_ISA that is no level.
    """
    names = [known.name for known in LEVELS]
    asked = os.environ.get(VARIABLE)
    if asked is not None and asked not in names:
        raise ConfigError(
            f"environment variable {VARIABLE}: expected one of {', '.join(names)}, found {asked!r}"
        )
    if not is_x86():
        return OTHER
    by_onednn = {known.onednn: position for position, known in enumerate(LEVELS)}
    top = len(LEVELS) - 1
    limit = by_onednn.get(os.environ.get(ONEDNN_VARIABLE, "").upper(), top)
    return _best(min(limit, names.index(asked) if asked else top))


def levels() -> List[Level]:
    """Returns every Level that this processor has, the narrowest first."""
    return [known for known in LEVELS if known.flags <= flags()] if is_x86() else [OTHER]


def below() -> List[str]:
    """Returns the names of the levels below the one that this process uses, the narrowest first."""
    names = [known.name for known in levels()]
    return names[: names.index(level().name)]


def has_vnni() -> bool:
    """Returns whether layers sum products of 8 bits exactly.

    Other x86 processors add two products in 16 bits, which saturates (oneDNN's "Nuances of int8
    Computations").
    """
    return not is_x86() or level().name in VNNI


def has_bfloat16() -> bool:
    """Returns whether layers calculate with bfloat16; oneDNN emulates it slowly otherwise."""
    return level().name in BFLOAT16


def describe() -> str:
    """Returns a line with the processor's name, its level and the variable that limits it."""
    best, used = levels()[-1], level()
    text = f"{name()}, {used.title}"
    if used == best:
        return text
    variable = VARIABLE if VARIABLE in os.environ else ONEDNN_VARIABLE
    return f"{text} (limited by {variable}={os.environ[variable]}; the CPU has {best.title})"


def name() -> str:
    """Returns the processor's name, or its architecture if Linux does not know the name."""
    return _field("model name") or platform.machine()


def is_x86() -> bool:
    """Returns whether this is an x86 processor of 64 bits."""
    return platform.machine() in ("x86_64", "AMD64")


def flags() -> FrozenSet[str]:
    """Returns the names of the instructions that Linux lists for this processor."""
    return frozenset(_field("flags").split())


def _best(limit: int) -> Level:
    """Returns the last of LEVELS[: limit + 1] that the processor has."""
    return [known for known in LEVELS[: limit + 1] if known.flags <= flags()][-1]


def _field(name: str) -> str:
    """Returns the text of CPU_INFO's first line with that name; "" if there is none."""
    try:
        with open(CPU_INFO, encoding="utf-8") as file:
            lines = (line.partition(":") for line in file)
            return next((text.strip() for key, _, text in lines if key.strip() == name), "")
    except OSError:
        return ""
