"""What the processor in use means for the sides: all are held to it, or left out."""

from detkit import processor

BFLOAT16 = "bf16"
# Of a level: PyTorch's own kernels, MKL beneath them, MXNet's OpenBLAS. MKL heeds its variable on
# Intel's processors alone.
LIBRARIES = {
    "baseline": ("default", "SSE4_2", "Nehalem"),
    "avx2": ("avx2", "AVX2", "Haswell"),
    "avx2_vnni": ("avx2", "AVX2_E1", "Haswell"),
    "avx512": ("avx512", "AVX512", "SkylakeX"),
    "avx512_vnni": ("avx512", "AVX512_E1", "SkylakeX"),
    "avx512_bf16": ("avx512", "AVX512_E3", "SkylakeX"),
}


def is_held():
    """Whether a variable holds layers to less than the processor has."""
    return processor.level() != processor.levels()[-1]


def environment():
    """The variables that hold each library of every side to processor.level(); {} where it is free.

    A side's process gets all of them, whatever it runs: none reads another's.
    """
    if not is_held():
        return {}
    held = processor.level()
    aten, mkl, openblas = LIBRARIES[held.name]
    return {
        processor.VARIABLE: held.name,
        processor.ONEDNN_VARIABLE: held.onednn,
        "ONEDNN_MAX_CPU_ISA": held.onednn,  # the name since oneDNN 3, which PyTorch has
        "ATEN_CPU_CAPABILITY": aten,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
        "OPENBLAS_CORETYPE": openblas,
    }


def why_left_out(framework, precision):
    """Why a side is not measured on this processor, for people; None where it is."""
    if precision == BFLOAT16 and not processor.has_bfloat16():
        return "it would be emulated, without AVX512_BF16 and AMX"
    if framework == "onnxruntime" and is_held():
        title = processor.level().title
        return f"it goes by what the processor has, and no variable holds it to {title}"
    return None


def described():
    """One line about the processor."""
    text = processor.describe()
    return text if processor.has_vnni() else f"{text}; there is no VNNI, and INT8 gains less"
