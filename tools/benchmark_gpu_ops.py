"""Times detkit's CUDA operators beside torchvision's on this machine's GPU.

The kernels are compiled without MXNet and run on PyTorch's tensors. Each operator is compared with
torchvision's, or with a formula in PyTorch, before it is timed. An operator that neither has is
timed alone. With --compile-only the tool needs nvcc alone, and prints the size, the registers and
the spilled bytes of each source.
"""

import argparse
import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from detkit.cli import debug_argument, positive, run
from detkit.errors import DetkitError

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "detkit/ops/native/cuda"
FLAGS = ("-std=c++17", "-O3", "-Xcompiler", "-fPIC,-fvisibility=hidden")
ARCHITECTURES = ("80", "86", "90")
WARM_UP = 5
KERNEL = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)'")
RESOURCES = re.compile(r"(\d+) bytes spill stores.*?Used (\d+) registers", re.DOTALL)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Compiles; then compares, times, prints the table and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--arch",
        nargs="+",
        metavar="NUMBER",
        help="compute capabilities to compile for, for example 80 86; default: the card's own, "
        f"with --compile-only {' '.join(ARCHITECTURES)}",
    )
    parser.add_argument("--compile-only", action="store_true", help="sizes and registers, no GPU")
    parser.add_argument("--repeat", type=positive, default=50, help="timed runs of a case")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the table here")
    debug_argument(parser)
    args = parser.parse_args(argv)
    nvcc = find_nvcc()
    with tempfile.TemporaryDirectory() as folder:
        if args.compile_only:
            compile_all(nvcc, args.arch or ARCHITECTURES, Path(folder))
            return
        torch, torchvision = find_torch()
        arch = args.arch or ["{}{}".format(*torch.cuda.get_device_capability())]
        library = link(nvcc, compile_all(nvcc, arch, Path(folder)), Path(folder))
        figures = measure(torch, torchvision, library, args.repeat)
    print(table(figures))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if args.markdown:
        args.markdown.write_text(table(figures) + "\n", encoding="utf-8")


# ---------------------------------------------------------------------------- requirements


def find_nvcc() -> str:
    """Returns the path of nvcc. Raises DetkitError without one."""
    path = shutil.which("nvcc")
    if not path:
        raise DetkitError(
            "nvcc is not on PATH; install the CUDA toolkit (11.2 or later), or add its bin folder"
        )
    return path


def find_torch() -> Tuple[Any, Any]:
    """Returns torch and torchvision. Raises DetkitError if one of them or a GPU is missing."""
    try:
        torch, torchvision = map(importlib.import_module, ("torch", "torchvision"))
    except ImportError as error:
        raise DetkitError(
            f"expected torchvision on PyTorch's tensors, to compare with; found: {error}; "
            "install both (pip install torch torchvision), or use --compile-only"
        ) from error
    if not torch.cuda.is_available():
        raise DetkitError(
            f"expected a GPU for PyTorch {torch.__version__}, found none; use another machine, "
            "or --compile-only"
        )
    return torch, torchvision


def from_tests(name: str) -> Any:
    """Returns a module of tests/support/, which has the interface to the kernels and the cases."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.insert(0, str(ROOT / "tests"))
    return importlib.import_module(f"support.{name}")


# -------------------------------------------------------------------------------- compiling


def compile_all(nvcc: str, architectures: Sequence[str], folder: Path) -> List[Path]:
    """Compiles every source, prints a line for each of its architectures; returns the objects."""
    gencode = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in architectures]

    def one(source: Path) -> Tuple[Path, List[Tuple[str, Tuple[int, int]]]]:
        target = folder / f"{source.stem}.o"
        command = [nvcc, *FLAGS, *gencode, "-Xptxas", "-v", "-c", source, "-o", target]
        return target, resources(call(command))

    print(f"{'source':16} {'sm':>4} {'kernels':>8} {'registers':>10} {'spilled':>8} {'object':>9}")
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, sorted(SOURCES.glob("*.cu"))))
    for target, kernels in results:
        for number in architectures:
            own = [used for name, used in kernels if name == number]
            registers, spilled = (max(column) for column in zip(*own))
            size = target.stat().st_size / 1024
            print(
                f"{target.stem + '.cu':16} {number:>4} {len(own):8} {registers:10} {spilled:8} "
                f"{size:6.0f} KB"
            )
    return [target for target, _ in results]


def resources(printed: str) -> List[Tuple[str, Tuple[int, int]]]:
    """Returns (architecture, (registers, spilled bytes)) of each kernel from ptxas -v's output."""
    used = []
    parts = KERNEL.split(printed)[1:]
    for number, text in zip(parts[1::3], parts[2::3]):
        spilled, registers = RESOURCES.findall(text)[0]
        used.append((number, (int(registers), int(spilled))))
    return used


def link(nvcc: str, objects: Sequence[Path], folder: Path) -> Path:
    """Returns the library of some objects."""
    library = folder / "libdetkit_cuda.so"
    call([nvcc, "-shared", *objects, "-o", library])
    return library


def call(command: Sequence[Any]) -> str:
    """Returns the output of a command. Raises DetkitError with its end if the command fails."""
    words = list(map(str, command))
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise DetkitError(f"cannot compile:\n{done.stdout[-3000:]}\n  {' '.join(words)}")
    return done.stdout


# -------------------------------------------------------------------------------- measuring


def measure(torch: Any, torchvision: Any, library: Path, repeat: int) -> Dict[str, Any]:
    """Compares and times every case; returns the figures. Raises DetkitError if a case differs."""
    kernels, cases = from_tests("cuda_kernels"), from_tests("gpu_cases")
    own = kernels.CudaKernels(library, kernels.TorchMemory(torch))
    rows = [measure_case(torch, case, repeat) for case in cases.Cases(torch, torchvision, own)]
    return {
        "card": torch.cuda.get_device_name(),
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "repeat": repeat,
        "cases": rows,
    }


def measure_case(torch: Any, case: Any, repeat: int) -> Dict[str, Any]:
    """Compares and times a case of tests/support/gpu_cases.py; returns its figures."""
    run_own, outputs = case.call
    run_own()
    if case.peer:
        difference = case.differs(outputs, case.peer())
        if difference:
            raise DetkitError(f"{case.name}: detkit and torchvision disagree: {difference}")
    torch.cuda.synchronize()
    own, peer = medians(torch, [run_own, case.peer] if case.peer else [run_own], repeat)
    print(f"{case.name}: {own:.1f} us" + (f", torchvision {peer:.1f} us" if case.peer else ""))
    return {"name": case.name, "detkit_us": own, "torchvision_us": peer}


def medians(
    torch: Any, functions: Sequence[Callable[[], Any]], repeat: int
) -> Tuple[float, Optional[float]]:
    """Returns the median microseconds of one or two functions.

    The functions take turns, so that a warm or throttled card slows them alike.
    """
    events = [
        [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in functions]
        for _ in range(WARM_UP + repeat)
    ]
    for turn in events:
        for function, (start, end) in zip(functions, turn):
            start.record()
            function()
            end.record()
    torch.cuda.synchronize()
    timed = events[WARM_UP:]
    taken = [
        1000 * median(turn[i][0].elapsed_time(turn[i][1]) for turn in timed)
        for i in range(len(functions))
    ]
    return taken[0], taken[1] if len(functions) > 1 else None


def table(figures: Dict[str, Any]) -> str:
    """Returns Markdown: the card and the date, and a table with a row for each case."""
    lines = [
        f"{figures['card']}, {figures['date']}, medians of {figures['repeat']} runs; "
        f"PyTorch {figures['torch']}, torchvision {figures['torchvision']}.",
        "",
        "| operator | detkit, µs | torchvision, µs | ratio |",
        "|---|---:|---:|---:|",
    ]
    for row in figures["cases"]:
        own, peer = row["detkit_us"], row["torchvision_us"]
        other = f"{peer:.1f} | {peer / own:.2f}" if peer is not None else "– | –"
        lines.append(f"| {row['name']} | {own:.1f} | {other} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(main))
