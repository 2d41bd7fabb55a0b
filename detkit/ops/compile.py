"""Finds the library of detkit's operators, or compiles it for this machine.

A platform wheel brings a prebuilt library along (prebuilt.py). Otherwise the library is compiled
once, by the machine's C++ compiler and against the installed MXNet, and is kept in a cache. If the
sources, the compiler, the flags or MXNet change, another library is compiled. cache.py says how
several processes share it.
"""

import hashlib
import itertools
import math
import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import mxnet as mx

from detkit.errors import DetkitError
from detkit.files.disk import cache_folder
from detkit.ops.cache import CacheError, cached
from detkit.ops.prebuilt import Manifest, PrebuiltError, checked

SOURCES = Path(__file__).parent / "native"
SUFFIXES = (".cc", ".h", ".cu", ".cuh")
LIBRARY = "libdetkit_ops.so"
PREBUILT = Path(__file__).parent / "prebuilt" / LIBRARY  # in platform wheels alone
COMPILERS = ("g++", "c++", "clang++")
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fopenmp", "-fvisibility=hidden")
# Boxes are compared with thresholds and with each other. Every instruction set must therefore round
# in the same way, which fused multiplications and additions would not.
BOX_KERNELS = ("nms", "proposals", "match")
ROI_KERNELS = ("roi_align", "roi_pool", "prroi_pool", "crop_pool", "mask_target", "mask_paste")
CONV_KERNELS = (
    *("conv3x3", "conv3x3_backward", "conv1x1", "conv1x1_backward", "dense"),
    *("depthwise", "rectify", "max_pool", "upsample"),
)
FUSED_KERNELS = ROI_KERNELS + CONV_KERNELS
PRODUCTS = ("conv3x3", "conv3x3_backward", "conv1x1", "conv1x1_backward", "dense")
INSTRUCTION_SETS: Dict[str, Tuple[str, ...]] = {
    "baseline": ("-DDETKIT_ISA=baseline", "-DDETKIT_DISPATCH"),
    "avx2": ("-DDETKIT_ISA=avx2", "-mavx2", "-mfma", "-mbmi2"),
    "avx512": (
        "-DDETKIT_ISA=avx512",
        *("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mbmi2"),
        "-mprefer-vector-width=512",
    ),
}
# Another build of PRODUCTS, which multiplies in bfloat16. Compilers of before 2020 do not know it.
BFLOAT16 = "avx512_bf16"
BFLOAT16_FLAGS = ("-DDETKIT_ISA=avx512_bf16", "-mavx512bf16", *INSTRUCTION_SETS["avx512"][1:])
FILE_SECONDS = 1.2  # a file takes, on the average and on one core
CUDA_FLAGS = ("-std=c++17", "-O3", "-Xcompiler", "-fPIC,-fvisibility=hidden")

Word = Union[str, Path]  # of a command


class BuildError(DetkitError):
    """Says why the operators cannot be compiled or loaded on this machine."""


def library() -> Path:
    """Returns the path of the prebuilt library, or of the one that was compiled on this machine.

    It is compiled now if the prebuilt one cannot be used and the cache has none. Raises BuildError
    if there is no compiler, if it fails, or if the cache cannot be used.
    """
    try:
        return find_prebuilt()[0]
    except PrebuiltError as error:
        reason = str(error)
    try:
        compiler = find_compiler()
    except BuildError as error:
        raise BuildError(f"{error}; no prebuilt library is used: {reason}") from error
    build = Build(compiler, find_nvcc())
    try:
        path = cache_folder("ops") / build.key() / LIBRARY
        return cached(path, build.into, f"{reason}; this takes {build.estimate()}")
    except CacheError as error:
        raise BuildError(str(error)) from error


def find_prebuilt() -> Tuple[Path, Manifest]:
    """Returns the path of the prebuilt library, and its manifest.

    Raises PrebuiltError with the reason if it is not to be used: $CXX asks for a compiler, CUDA
    kernels can be compiled, or the library does not fit this machine and the installed packages.
    """
    if os.environ.get("CXX"):
        raise PrebuiltError(f"environment variable CXX asks for {os.environ['CXX']!r}")
    if find_nvcc():
        raise PrebuiltError("MXNet is built for CUDA and nvcc is on PATH")
    return PREBUILT, checked(PREBUILT, Build(COMPILERS[0]).sources(), mx.__version__)


def find_compiler() -> str:
    """Returns the path of $CXX if it is set, otherwise that of g++, c++ or clang++.

    Raises BuildError if there is no compiler, and on another system than Linux.
    """
    if platform.system() != "Linux":
        raise BuildError(f"detkit's operators: expected Linux, found {platform.system()}")
    asked = os.environ.get("CXX")
    for name in [asked] if asked else COMPILERS:
        path = shutil.which(name)
        if path:
            return path
    raise BuildError(
        f"environment variable CXX: expected a C++ compiler, found {asked!r}, which is no program; "
        "name another one, or unset CXX"
        if asked
        else f"PATH: expected a C++ compiler ({', '.join(COMPILERS)}), found none; install one "
        "(apt install g++)"
    )


def find_nvcc() -> Optional[str]:
    """Returns the path of nvcc if MXNet is built for CUDA and nvcc is on PATH, otherwise None."""
    return shutil.which("nvcc") if mx.runtime.Features().is_enabled("CUDA") else None


class Build:
    """The commands that compile the library for the installed MXNet.

    compiler: the path of a C++ compiler. nvcc: the path of nvcc, or None for no CUDA kernels.
    """

    def __init__(self, compiler: str, nvcc: Optional[str] = None) -> None:
        self.compiler, self.nvcc = compiler, nvcc
        package = Path(mx.__file__).parent
        self._include, self._lib_api = package / "include", package / "src" / "lib_api.cc"

    def key(self) -> str:
        """Returns a name that changes with everything that the library depends on."""
        digest = hashlib.sha256(self.sources().encode())
        for program in filter(None, (self.compiler, self.nvcc)):
            digest.update(program.encode() + printed_by([program, "--version"]).encode())
        return f"{platform.machine()}-{digest.hexdigest()[:16]}"

    def sources(self) -> str:
        """Returns the sha256 of what is compiled and with which flags, by whatever compiler."""
        digest = hashlib.sha256(mx.__version__.encode())
        header = self._include / "mxnet" / "lib_api.h"
        sources = (path for path in SOURCES.rglob("*") if path.suffix in SUFFIXES)
        for path in [*sorted(sources), header, self._lib_api]:
            digest.update(path.name.encode() + path.read_bytes())
        for _, *words in self.commands("objects"):
            # The folders in which MXNet and detkit are installed make no difference.
            line = " ".join(map(str, words))
            line = line.replace(str(self._include), "mxnet").replace(str(SOURCES), "native")
            digest.update(line.replace(str(self._lib_api), "lib_api").encode())
        return digest.hexdigest()

    def estimate(self) -> str:
        """Returns how long the compilation takes, in words."""
        cores = len(os.sched_getaffinity(0))
        seconds = math.ceil(len(self.commands("objects")) * FILE_SECONDS / cores / 10) * 10
        return f"about {seconds} s on {cores} free core{'s' * (cores > 1)}"

    def into(self, folder: Path, path: Path) -> None:
        """Compiles the sources into object files in ``folder`` and links them to ``path``.

        A bar shows the progress if the standard error is a terminal.
        """
        from tqdm import tqdm  # an exported detector needs no tqdm unless it compiles

        commands = self.commands(str(folder), knows_bfloat16(self.compiler))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            done = pool.map(printed_by, commands)
            list(tqdm(done, "operators", len(commands), unit="file", disable=None))
        self.link([command[-1] for command in commands], path)

    def commands(self, folder: str, bfloat16: bool = True) -> List[List[Word]]:
        """Returns the commands that compile the sources, as lists of words.

        The last word of each is the object file that it writes into ``folder``. bfloat16: whether
        the compiler knows the flags of that build.
        """
        cuda: List[Word] = []
        if self.nvcc:
            cuda = ["-DDETKIT_CUDA", "-I", _toolkit(self.nvcc) / "include"]
        mxnet: List[Word] = ["-I", self._include, *cuda]
        commands = [self._compile(folder, self._lib_api, *mxnet, "-fvisibility=default")]
        for source in sorted(SOURCES.glob("mxnet/*.cc")):
            commands.append(self._compile(folder, source, *mxnet))
        for source, build, flags in kernel_builds(instruction_sets(), bfloat16):
            commands.append(self._compile(folder, source, *flags, suffix=f".{build}.o"))
        return commands + (self._cuda_commands(folder, self.nvcc) if self.nvcc else [])

    def _cuda_commands(self, folder: str, nvcc: str) -> List[List[Word]]:
        flags = ("-ccbin", self.compiler, *CUDA_FLAGS, *_architectures(nvcc))
        return [
            [nvcc, *flags, "-c", source, "-o", os.path.join(folder, f"{source.stem}.cuda.o")]
            for source in sorted(SOURCES.glob("cuda/*.cu"))
        ]

    def _compile(self, folder: str, source: Path, *flags: Word, suffix: str = ".o") -> List[Word]:
        target = os.path.join(folder, source.stem + suffix)
        return [self.compiler, *FLAGS, *flags, "-c", source, "-o", target]

    def link(self, objects: Sequence[Word], path: Path, *flags: Word) -> None:
        """Links object files to the library ``path``. Raises BuildError if that fails."""
        # libmxnet.so contains lib_api too. Without -Bsymbolic, a C++ program that is linked with it
        # would use its functions instead of the library's, and crash when it loads the library.
        shared = (self.compiler, "-shared", "-fopenmp", "-Wl,-Bsymbolic")
        command: List[Word] = [*shared, *objects, *flags, "-o", path]
        if self.nvcc:
            libraries = _toolkit(self.nvcc) / "lib64"
            command += ["-L", libraries, "-lcudart_static", "-ldl", "-lrt", "-lpthread"]
        printed_by(command)


def instruction_sets() -> Iterable[str]:
    """Returns the instruction sets that the kernels are compiled for.

    On x86-64 these are all of them, and the processor chooses one when a kernel runs.
    """
    return INSTRUCTION_SETS if platform.machine() == "x86_64" else ["baseline"]


def kernel_builds(sets: Iterable[str], bfloat16: bool) -> List[Tuple[Path, str, Tuple[str, ...]]]:
    """Returns (source, name of the build, flags) of all object files that hold the kernels.

    sets: of INSTRUCTION_SETS. bfloat16: whether BFLOAT16 is built beside AVX-512.
    """
    sets = list(sets)
    bfloat16 = bfloat16 and "avx512" in sets
    dispatch: Tuple[str, ...] = ("-DDETKIT_BFLOAT16",) if bfloat16 else ()
    builds = [(SOURCES / "cpu/isa.cc", "baseline", dispatch)]
    builds.append((SOURCES / "cpu/kept.cc", "baseline", ()))
    for kernels, contract in ((BOX_KERNELS, "off"), (FUSED_KERNELS, "fast")):
        for kernel, name in itertools.product(kernels, sets):
            chooses = name == "baseline" and kernel in PRODUCTS
            own = (*INSTRUCTION_SETS[name], *(dispatch if chooses else ()))
            flags: Tuple[str, ...] = (f"-ffp-contract={contract}", *own)
            builds.append((SOURCES / "cpu" / f"{kernel}.cc", name, flags))
    if bfloat16:
        flags = ("-ffp-contract=fast", *BFLOAT16_FLAGS)
        builds += [(SOURCES / "cpu" / f"{kernel}.cc", BFLOAT16, flags) for kernel in PRODUCTS]
    return builds


def knows_bfloat16(compiler: str) -> bool:
    """Returns whether a compiler takes the flags of the build for bfloat16."""
    if platform.machine() != "x86_64":
        return False
    try:
        printed_by([compiler, *BFLOAT16_FLAGS, "-x", "c++", "-fsyntax-only", os.devnull])
    except BuildError:
        return False
    return True


def _toolkit(nvcc: str) -> Path:
    """Returns the folder of the CUDA toolkit. Raises BuildError if it has no headers."""
    folders = [os.environ.get("CUDA_HOME"), str(Path(nvcc).resolve().parents[1]), "/usr/local/cuda"]
    for folder in map(Path, filter(None, folders)):
        if (folder / "include" / "cuda_runtime.h").exists():
            return folder
    raise BuildError(
        f"{nvcc}: expected the CUDA toolkit that it belongs to, found no cuda_runtime.h; name its "
        "folder in CUDA_HOME"
    )


def _architectures(nvcc: str) -> List[str]:
    """Returns nvcc's flags: machine code for the GPUs that MXNet knows, and PTX for later ones."""
    known = sorted(
        int(name[len("compute_") :]) for name in printed_by([nvcc, "--list-gpu-arch"]).split()
    )
    targets = [number for number in known if number >= 50]  # older GPUs are unknown to MXNet
    flags = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in targets]
    return [*flags, f"-gencode=arch=compute_{targets[-1]},code=compute_{targets[-1]}"]


def printed_by(command: Sequence[Word], environment: Optional[Mapping[str, str]] = None) -> str:
    """Runs a command, by default with this process's variables; returns what it prints.

    Raises BuildError if the command cannot be run, and with the end of its output if it fails.
    """
    pipe, output = subprocess.PIPE, subprocess.STDOUT
    try:
        done = subprocess.run(
            command, stdout=pipe, stderr=output, text=True, errors="replace", env=environment
        )
    except OSError as error:
        raise BuildError(f"{command[0]}: cannot be run: {error.strerror}") from error
    if done.returncode:
        line = " ".join(map(str, command))
        raise BuildError(f"a command failed:\n{done.stdout.strip()[-2000:]}\n  command: {line}")
    return done.stdout
