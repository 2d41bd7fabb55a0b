"""The processor's level of instructions and what it means for tools/benchmark*.py.

If DETKIT_ISA (or oneDNN's own variable) limits the level, every library of every worker is limited
to it. A framework that cannot be limited, or a precision that the processor would emulate, is left
out of the comparison.
"""

from typing import Dict, Optional

from detkit import processor

BFLOAT16 = "bf16"
UNLIMITED = ("onnxruntime", "openvino", "ncnn")  # no variable limits the instructions of these
# For each level: PyTorch's own kernels, MKL beneath them, MXNet's OpenBLAS. MKL reads its variable
# on Intel's processors only.
LIBRARIES = {
    "baseline": ("default", "SSE4_2", "Nehalem"),
    "avx2": ("avx2", "AVX2", "Haswell"),
    "avx2_vnni": ("avx2", "AVX2_E1", "Haswell"),
    "avx512": ("avx512", "AVX512", "SkylakeX"),
    "avx512_vnni": ("avx512", "AVX512_E1", "SkylakeX"),
    "avx512_bf16": ("avx512", "AVX512_E3", "SkylakeX"),
}


def is_limited() -> bool:
    """Tells whether an environment variable limits the level below the processor's own."""
    return processor.level() != processor.levels()[-1]


def library_limits() -> Dict[str, str]:
    """Returns the variables that limit each library to processor.level(); {} without a limit.

    Every worker gets all of them, because no library reads the variable of another one.
    """
    if not is_limited():
        return {}
    level = processor.level()
    aten, mkl, openblas = LIBRARIES[level.name]
    return {
        processor.VARIABLE: level.name,
        processor.ONEDNN_VARIABLE: level.onednn,
        "ONEDNN_MAX_CPU_ISA": level.onednn,  # the name since oneDNN 3, which PyTorch has
        "ATEN_CPU_CAPABILITY": aten,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
        "OPENBLAS_CORETYPE": openblas,
    }


def why_left_out(framework: str, precision: str) -> Optional[str]:
    """Returns why a framework is not measured in a precision on this processor, or None."""
    if precision == BFLOAT16 and not processor.has_bfloat16():
        return "it would be emulated, without AVX512_BF16 and AMX"
    if framework in UNLIMITED and is_limited():
        title = processor.level().title
        return f"it uses all that the processor has, and no variable limits it to {title}"
    return None


def describe() -> str:
    """Returns one line about the processor and its level of instructions."""
    text = processor.describe()
    return text if processor.has_vnni() else f"{text}; there is no VNNI, and INT8 gains less"
