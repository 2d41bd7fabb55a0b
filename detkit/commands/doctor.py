"""Prints what detkit finds on this machine: ``detkit doctor``."""

import argparse
import ctypes
import os
import platform
import shutil
import subprocess
from pathlib import Path

import detkit
from detkit import environment, processor, shipped
from detkit.errors import DetkitError
from detkit.requirements import import_mxnet, import_opencv
from detkit.threads import VARIABLE, physical_cores

PACKAGES = ("numpy", "yaml", "pycocotools", "faster_coco_eval", "tqdm", "defusedxml")
KERNELS = ("every processor of its kind", "AVX2", "AVX-512", "AVX-512 with bfloat16")
INDENT = "\n" + " " * 13


def main(args: argparse.Namespace) -> None:
    """Prints a line for each package and each part of the machine; with an option, a path alone."""
    if args.build:
        from detkit.ops.compile import library  # a broken MXNet must not stop the lines below

        print(library())
        return
    if args.sources:
        print(shipped.folder(shipped.DEPLOY))
        return
    row("detkit", f"{detkit.__version__} in {Path(detkit.__file__).parent}")
    row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in PACKAGES:
        row(name, environment.version_of(name))
    row("cv2", describe_opencv())
    row("processor", describe_processor())
    row("mxnet", describe_mxnet())
    row("operators", describe_operators())
    row("plugins", describe_plugins())
    row("project", environment.git_state(".") or "no git repository")


def describe_plugins() -> str:
    """Returns the plugins of installed packages, and why some cannot be imported."""
    from detkit.plugins import find_installed, import_installed

    report = import_installed()
    lines = [str(plugin) for plugin in find_installed()[0] if plugin.module in report.modules]
    lines += [f"failed: {failure}" for failure in report.failures]
    return INDENT.join(lines) or "none in installed packages"


def row(name: str, text: str) -> None:
    """Prints a line."""
    print(f"{name:12} {text}")


def describe_processor() -> str:
    """Returns its name, its level of instructions, what it lacks, and its cores."""
    lines = [processor.describe()]
    if not processor.has_vnni():
        lines.append("no VNNI: INT8 needs an export made with --int8-for any, and gains less")
    if not processor.has_bfloat16():
        lines.append("no bfloat16: exports with --bf16 do not run")
    lines.append(f"{physical_cores()} cores, {VARIABLE}={environment.threads()}")
    return INDENT.join(lines)


def describe_opencv() -> str:
    """Returns the version, or why OpenCV cannot be imported; the other lines need none."""
    try:
        return str(import_opencv().__version__)
    except DetkitError as error:
        return str(error).replace("\n  ", INDENT)


def describe_mxnet() -> str:
    """Returns version, build and GPUs. Raises DetkitError if MXNet cannot be imported."""
    mx = import_mxnet()
    features = mx.runtime.Features()
    build = "GPU build" if features.is_enabled("CUDA") else "CPU build"
    dnn = "with" if features.is_enabled("MKLDNN") else "without"
    return f"{mx.__version__}, {build} {dnn} oneDNN, {mx.context.num_gpus()} GPUs"


def describe_operators() -> str:
    """Returns which operators are used and why, and the compilers on PATH."""
    from detkit.ops import backend

    choice = backend.choose()
    lines = [f"{choice.name}: {choice.reason}"]
    if choice.name == backend.NATIVE:
        used = KERNELS[ctypes.CDLL(choice.reason).detkit_isa()]
        cuda = "with" if backend.has_cuda(choice.reason) else "without"
        lines.append(f"kernels for {used}, {cuda} CUDA")
        lines.append(describe_library())
        lines.append(f"named in the log of a run: {environment.operators()}")
    lines.append(describe_convolutions())
    for tool in (os.environ.get("CXX") or "g++", "nvcc"):
        path = shutil.which(tool)
        lines.append(f"{tool}: {first_line(path) if path else 'not on PATH'}")
    return INDENT.join(lines)


def describe_library() -> str:
    """Returns whether the library is the prebuilt one, and why not."""
    from detkit.ops.compile import find_prebuilt
    from detkit.ops.prebuilt import PrebuiltError

    try:
        manifest = find_prebuilt()[1]
    except PrebuiltError as error:
        return f"compiled on this machine: {error}"
    return f"prebuilt by {manifest.compiler} for glibc {manifest.glibc} and later"


def describe_convolutions() -> str:
    """Returns whose convolutions are used on a CPU. Raises ConfigError for a wrong choice."""
    from detkit.ops import backend

    own = "detkit's for 1x1, 3x3 and depthwise ones, MXNet's for others"
    used = own if backend.own_convolutions() else "MXNet's"
    asked = os.environ.get(backend.CONVOLUTIONS_VARIABLE)
    why = f" ({backend.CONVOLUTIONS_VARIABLE}={asked})" if asked else ""
    return f"convolutions: {used}{why}"


def first_line(compiler: str) -> str:
    """Returns the line of ``compiler --version`` with its name and version."""
    printed = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    lines = [line for line in printed.splitlines() if "Copyright" not in line and line.strip()]
    return lines[-1] if "nvcc" in compiler else lines[0]
