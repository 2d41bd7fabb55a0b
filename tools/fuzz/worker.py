"""A process that reads the cases of a format one after the other and prints their outcomes."""

import json
import os
import pickle
import random
import re
import sys
import traceback
import warnings
from pathlib import Path
from typing import Dict, List, Tuple

import detkit
from detkit.errors import DetkitError
from fuzz.guard import Guard, limit_memory
from fuzz.mutations import mutated
from fuzz.readers import FORMATS, fit_hashes

ACCEPTED, CLEAR, FAILED = "accepted", "clear", "failed"
MEMORY_WORDS = re.compile(r"[Ii]nsufficient memory|bad_alloc|[Uu]nable to allocate|MemoryError")


def case(seeds: List[Dict[str, bytes]], name: str, seed: int, number: int) -> Dict[str, bytes]:
    """Returns the files of a case, a function of the seed and the case's number alone."""
    draw = random.Random(f"{seed}-{name}-{number}")
    files = dict(draw.choice(seeds))
    mutable = FORMATS[name].mutable or sorted(files)
    chosen = mutable[0] if draw.random() < 0.5 else draw.choice(mutable)
    files[chosen] = mutated(chosen, files[chosen], draw)
    if draw.random() < 0.7:
        fit_hashes(files)
    return files


def write(folder: Path, files: Dict[str, bytes], before: Dict[str, bytes]) -> None:
    """Makes the folder hold these files; ``before`` are those that it holds."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        name = str(path.relative_to(folder))
        if name not in files:
            path.unlink()
            before.pop(name, None)
    for name, data in files.items():
        if before.get(name) is not data:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    before.clear()
    before.update(files)


def outcome(name: str, folder: Path, guard: Guard) -> Tuple[str, str]:
    """Reads a case; returns what came of it and a line about it."""
    guard.violations.clear()
    result = ACCEPTED, ""
    try:
        guard.armed = True
        try:
            FORMATS[name].read(folder)
        finally:
            guard.armed = False
    except DetkitError as error:
        memory = MEMORY_WORDS.search(str(error))
        result = (FAILED, f"memory: {error}"[:500]) if memory else (CLEAR, str(error)[:200])
    except Exception as error:  # any other exception is a failure, which is reported
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(last.filename)}:{last.lineno}"
        result = FAILED, f"{type(error).__name__} at {where}: {error}"[:500]
    return (FAILED, f"violation: {guard.violations[0]}") if guard.violations else result


def main(arguments: List[str]) -> None:
    """Runs the cases from ``first`` to ``last``; prints a line of JSON for each."""
    name, seed, first, last, folder, seeds_file = arguments
    warnings.simplefilter("ignore")
    # Readers may print (COCO's evaluator does); the lines of this process go to the first stdout.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    seeds: List[Dict[str, bytes]] = pickle.loads(Path(seeds_file).read_bytes())  # our own file
    root = Path(folder)
    before: Dict[str, bytes] = {}
    guard = Guard(root, Path(detkit.__file__).parent)
    for files in seeds:  # the seeds import and compile what is needed, and must be valid
        write(root, files, before)
        FORMATS[name].read(root)
    limit_memory()
    for number in range(int(first), int(last)):
        write(root, case(seeds, name, int(seed), number), before)
        print(json.dumps([number, *outcome(name, root, guard)]), file=out)


if __name__ == "__main__":
    main(sys.argv[1:])
