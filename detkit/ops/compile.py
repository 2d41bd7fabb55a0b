"""Compiles detkit's operators for this machine.

The library is made once, with the machine's C++ compiler against the installed MXNet, and kept in a
cache; a change of sources, compiler, flags or MXNet makes another one. Several processes may ask at
once: one builds, the others wait.
"""

import fcntl
import hashlib
import itertools
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import mxnet as mx

from detkit.errors import DetkitError
from detkit.files.disk import cache_folder, make_folder

log = logging.getLogger(__name__)

SOURCES = Path(__file__).parent / "native"
LIBRARY = "libdetkit_ops.so"
COMPILERS = ("g++", "c++", "clang++")
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fopenmp", "-fvisibility=hidden")
# Boxes are compared with thresholds and with each other: no instruction set may round differently.
BOX_KERNELS = ("nms", "proposals", "match")
ROI_KERNELS = ("roi_align", "roi_pool", "prroi_pool", "crop_pool", "mask_target", "mask_paste")
INSTRUCTION_SETS = {
    "baseline": ("-DDETKIT_ISA=baseline", "-DDETKIT_DISPATCH"),
    "avx2": ("-DDETKIT_ISA=avx2", "-mavx2", "-mfma", "-mbmi2"),
    "avx512": (
        "-DDETKIT_ISA=avx512",
        *("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mbmi2"),
        "-mprefer-vector-width=512",
    ),
}
CUDA_FLAGS = ("-std=c++17", "-O3", "-Xcompiler", "-fPIC,-fvisibility=hidden")


class BuildError(DetkitError):
    """The operators cannot be compiled here; the message says what is missing."""


def library():
    """The path of the compiled library, compiled now where the cache has none.

    Raises BuildError without a compiler, or when it fails.
    """
    build = Build(find_compiler(), find_nvcc())
    path = cache_folder("ops") / build.key() / LIBRARY
    if not path.exists():
        try:
            make_folder(path.parent)
        except DetkitError as error:
            raise BuildError(f"{error} (the variable DETKIT_CACHE)") from error
        with locked(path.parent / "lock"):
            if not path.exists():  # another process may have built it meanwhile
                log.info("compiling detkit's operators into %s (once, about a minute)", path.parent)
                build.into(path)
    return path


def find_compiler():
    """The path of $CXX, else of the first of g++, c++, clang++. Raises BuildError without one."""
    if platform.system() != "Linux":
        raise BuildError(f"the operators are compiled on Linux alone, not on {platform.system()}")
    asked = os.environ.get("CXX")
    for name in [asked] if asked else COMPILERS:
        path = shutil.which(name)
        if path:
            return path
    raise BuildError(
        f"there is no C++ compiler: CXX={asked} is not a program; name one, or unset CXX"
        if asked
        else f"there is no C++ compiler: none of {', '.join(COMPILERS)} is on PATH; install one "
        "(apt install g++)"
    )


def find_nvcc():
    """The path of nvcc where MXNet is a GPU build, else None."""
    return shutil.which("nvcc") if mx.runtime.Features().is_enabled("CUDA") else None


@contextmanager
def locked(path):
    """Holds an exclusive lock on a file; the system releases it if the process dies."""
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Build:
    """One way of building: a compiler, an nvcc or None, and the MXNet that is installed."""

    def __init__(self, compiler, nvcc=None):
        self.compiler, self.nvcc = compiler, nvcc
        package = Path(mx.__file__).parent
        self._include, self._lib_api = package / "include", package / "src" / "lib_api.cc"

    def key(self):
        """A name for everything the library depends on."""
        digest = hashlib.sha256(mx.__version__.encode())
        header = self._include / "mxnet" / "lib_api.h"
        for path in [*sorted(SOURCES.rglob("*.[ch]*")), header, self._lib_api]:
            digest.update(path.name.encode() + path.read_bytes())
        for tool in filter(None, (self.compiler, self.nvcc)):
            digest.update(_output([tool, "--version"]).encode())
        for command in self.commands("objects"):
            line = " ".join(map(str, command))  # wherever MXNet and detkit are installed
            line = line.replace(str(self._include), "mxnet").replace(str(SOURCES), "native")
            digest.update(line.replace(str(self._lib_api), "lib_api").encode())
        return f"{platform.machine()}-{digest.hexdigest()[:16]}"

    def into(self, path):
        """Compile and link in a scratch folder, then move the library to ``path`` in one step."""
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            commands = self.commands(folder)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(_output, commands))
            objects = [command[-1] for command in commands]
            _output(self._link(objects, Path(folder) / LIBRARY))
            os.replace(Path(folder) / LIBRARY, path)

    def commands(self, folder):
        """What is to be run: lists of words, the last of each the object it makes in ``folder``."""
        cuda = ["-DDETKIT_CUDA", "-I", _toolkit(self.nvcc) / "include"] if self.nvcc else []
        mxnet = ["-I", self._include, *cuda]
        commands = [
            self._compile(folder, self._lib_api, *mxnet, "-fvisibility=default"),
            self._compile(folder, SOURCES / "cpu/isa.cc"),
        ]
        for source in sorted(SOURCES.glob("mxnet/*.cc")):
            commands.append(self._compile(folder, source, *mxnet))
        for kernels, contract in ((BOX_KERNELS, "off"), (ROI_KERNELS, "fast")):
            for kernel, isa in itertools.product(kernels, instruction_sets()):
                flags = (f"-ffp-contract={contract}", *INSTRUCTION_SETS[isa])
                source = SOURCES / "cpu" / f"{kernel}.cc"
                commands.append(self._compile(folder, source, *flags, suffix=f".{isa}.o"))
        for source in sorted(SOURCES.glob("cuda/*.cu")) if self.nvcc else ():
            target = os.path.join(folder, f"{source.stem}.cuda.o")
            flags = ("-ccbin", self.compiler, *CUDA_FLAGS, *_architectures(self.nvcc))
            commands.append([self.nvcc, *flags, "-c", source, "-o", target])
        return commands

    def _compile(self, folder, source, *flags, suffix=".o"):
        target = os.path.join(folder, source.stem + suffix)
        return [self.compiler, *FLAGS, *flags, "-c", source, "-o", target]

    def _link(self, objects, path):
        # -Bsymbolic: without it, a C++ program linked with libmxnet.so, which carries lib_api too,
        # would take that one's functions for the library's and crash while loading it.
        command = [self.compiler, "-shared", "-fopenmp", "-Wl,-Bsymbolic", *objects, "-o", path]
        if self.nvcc:
            libraries = _toolkit(self.nvcc) / "lib64"
            command += ["-L", libraries, "-lcudart_static", "-ldl", "-lrt", "-lpthread"]
        return command


def instruction_sets():
    """Those a kernel is compiled for: on x86-64 all, and the processor chooses when it runs."""
    return INSTRUCTION_SETS if platform.machine() == "x86_64" else ["baseline"]


def _toolkit(nvcc):
    """The folder of the CUDA toolkit. Raises BuildError where its headers are not found."""
    folders = [os.environ.get("CUDA_HOME"), Path(nvcc).resolve().parent.parent, "/usr/local/cuda"]
    for folder in filter(None, folders):
        if (Path(folder) / "include" / "cuda_runtime.h").exists():
            return Path(folder)
    raise BuildError(f"found {nvcc}, but not cuda_runtime.h: name the toolkit in CUDA_HOME")


def _architectures(nvcc):
    """Machine code for every card that both nvcc and MXNet know, and PTX for later ones."""
    known = sorted(
        int(name[len("compute_") :]) for name in _output([nvcc, "--list-gpu-arch"]).split()
    )
    targets = [number for number in known if number >= 50]
    flags = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in targets]
    return [*flags, f"-gencode=arch=compute_{targets[-1]},code=compute_{targets[-1]}"]


def _output(command):
    """What a command prints. Raises BuildError with the end of it when the command fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode:
        line = " ".join(map(str, command))
        raise BuildError(f"the compiler failed:\n{done.stdout.strip()[-2000:]}\n  command: {line}")
    return done.stdout
