"""Fuzzes the readers of tools/deploy: mutated files under the address and UB sanitizers.

tools/deploy/fuzz/fuzz_readers.cpp is compiled with the readers. For each format it reads the files
in tools/deploy/fuzz/seeds and mutations of them. A case that ends in anything but success or an
error with a message, or that takes 5 seconds or 1 GB, is kept in --crashes.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from detkit.cli import debug_argument, positive, run
from detkit.errors import DetkitError
from detkit.ops.compile import find_compiler

SOURCES = Path(__file__).resolve().parent / "deploy"
TABLES = SOURCES.parents[1] / "detkit" / "export" / "graph"  # operators.inc
IMAGES = ("jpeg", "png")  # their formats need libjpeg and libpng
FORMATS = ("model", "graph", "parameters", "ppm", *IMAGES, "options", "names")
READERS = (
    *("graph", "image_file", "image_headers", "json", "json_checks", "model", "model_files"),
    *("nodes", "operators", "options", "outputs", "parameters", "sha256", "variables"),
)
JPEG_PNG = ("codec_jpeg_png", "jpeg", "orientation", "png")
LIBRARIES = ("-ljpeg", "-lpng")
HEADERS = "#include <cstdio>\n#include <jpeglib.h>\n#include <png.h>\nint main() {}"
FLAGS = (
    *("-std=c++17", "-O1", "-g1", "-Wall", "-Wextra", "-I", SOURCES, "-I", TABLES),
    *("-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"),
)
SANITIZERS = "hard_rss_limit_mb=1024:max_allocation_size_mb=1024:detect_leaks=1"
LIBFUZZER = ("-fsanitize=fuzzer", "-DDETKIT_LIBFUZZER")
MOST_BYTES = 1 << 20  # of a case of libFuzzer


class Result(NamedTuple):
    """The cases of one format. failure: a text of what was seen, None if every case was fine."""

    format: str
    cases: int
    accepted: int
    refused: int
    seconds: float
    failure: Optional[str]


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Reads the cases of each format; raises DetkitError if some fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=positive, default=100000, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=FORMATS, metavar="FORMAT")
    parser.add_argument("--file", type=Path, help="read this one instead of the seeds, unchanged")
    parser.add_argument("--crashes", type=Path, default=Path("fuzz_crashes"), metavar="DIR")
    parser.add_argument("--libfuzzer", action="store_true", help="mutate by clang's libFuzzer")
    debug_argument(parser)
    args = parser.parse_args(argv)
    formats = args.only or FORMATS
    if not has_libraries():
        if set(IMAGES) & set(args.only or ()):
            raise DetkitError("--only: expected libjpeg and libpng with their headers, found none")
        print("jpeg and png are left out, because there is no libjpeg or no libpng")
        formats = [each for each in formats if each not in IMAGES]
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder), args.libfuzzer)
        results = [fuzz(program, each, args) for each in formats]
    print(table(results))
    failures = [result for result in results if result.failure is not None]
    if failures:
        text = "\n".join(f"{each.format}: {each.failure}" for each in failures)
        raise DetkitError(f"{len(failures)} formats have failures:\n{text}")


def has_libraries() -> bool:
    """Returns whether programs can be linked with libjpeg and libpng."""
    compiler = find_compiler()
    if compiler is None:
        return False
    words = [compiler, "-x", "c++", "-", *LIBRARIES, "-o", os.devnull]
    return subprocess.run(words, input=HEADERS, text=True, capture_output=True).returncode == 0


def build(folder: Path, libfuzzer: bool = False) -> Path:
    """Returns the path of the program, compiled into ``folder``. Raises DetkitError."""
    compiler = shutil.which("clang++") if libfuzzer else find_compiler()
    if compiler is None:
        raise DetkitError("--libfuzzer: expected clang++ on PATH, found none; leave it out")
    flags = [*FLAGS, *(LIBFUZZER if libfuzzer else ())]
    sources = [SOURCES / "fuzz" / "fuzz_readers.cpp"]
    codec, libraries = (JPEG_PNG, LIBRARIES) if has_libraries() else (("codec_ppm",), ())
    sources += [SOURCES / f"{name}.cpp" for name in (*READERS, *codec)]
    objects = [folder / f"{source.stem}.o" for source in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(_call, [compiler, *flags, "-c", source, "-o", made])
            for source, made in zip(sources, objects)
        ]
    for job in jobs:
        job.result()
    _call([compiler, *flags, *objects, *libraries, "-o", folder / "fuzz_readers"])
    return folder / "fuzz_readers"


def fuzz(program: Path, name: str, args: argparse.Namespace) -> Result:
    """Runs the cases of one format.

    args: cases, seed, crashes, file and libfuzzer of the command line.
    """
    args.crashes.mkdir(parents=True, exist_ok=True)
    crash = args.crashes / f"{name}-{args.seed}"
    seeds = [args.file] if args.file else sorted((SOURCES / "fuzz" / "seeds" / name).iterdir())
    cases = len(seeds) if args.file else args.cases
    start = time.time()
    with tempfile.TemporaryDirectory() as corpus:
        if args.libfuzzer:
            words = _libfuzzer_words(corpus, seeds, cases, args.seed, crash)
        else:
            words = [name, cases, args.seed, crash, *seeds]
        done = subprocess.run(
            [program, *map(str, words)],
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "ASAN_OPTIONS": SANITIZERS, "DETKIT_FUZZ_FORMAT": name},
        )
    seconds = time.time() - start
    if done.returncode:
        repeat = f"python tools/fuzz_deploy.py --only {name} --file {crash}"
        return Result(name, cases, 0, 0, seconds, f"{done.stderr[-3000:].strip()}\n  {repeat}")
    if args.libfuzzer:
        return Result(name, cases, 0, 0, seconds, None)
    accepted, refused = map(int, done.stdout.split())
    return Result(name, cases, accepted, refused, seconds, None)


def table(results: Sequence[Result]) -> str:
    """Returns the results as a table in Markdown. libFuzzer does not tell what was accepted."""
    lines = [
        "| format | cases | accepted | clear errors | failures | s |",
        "|---|---|---|---|---|---|",
    ]
    for each in results:
        told = each.accepted + each.refused > 0
        counts = f"{each.accepted:,} | {each.refused:,}" if told else "- | -"
        failures = int(each.failure is not None)
        lines.append(
            f"| {each.format} | {each.cases:,} | {counts} | {failures} | {each.seconds:.0f} |"
        )
    return "\n".join(lines)


def _libfuzzer_words(
    corpus: str, seeds: Sequence[Path], cases: int, seed: int, crash: Path
) -> List[str]:
    for path in seeds:
        shutil.copy(path, corpus)
    limits = [f"-runs={cases}", "-timeout=5", "-rss_limit_mb=1024", f"-max_len={MOST_BYTES}"]
    return [*limits, f"-seed={seed + 1}", f"-exact_artifact_path={crash}", corpus]


def _call(command: Sequence[object]) -> None:
    words = list(map(str, command))
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise DetkitError(f"cannot compile:\n{done.stdout[-3000:]}\n  {' '.join(words)}")


if __name__ == "__main__":
    sys.exit(run(main))
