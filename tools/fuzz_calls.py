"""Calls detkit's operators from Python with hostile shapes, types, numbers and attributes.

Each call must end in a result or in an exception, never in a signal. Processes make the calls, with
the compiled library and with MXNet's operators. If one dies, the number of its last call is
reported, which --first repeats.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Optional, Sequence, Tuple

import detkit  # noqa: F401  # isort: skip  before MXNet

import mxnet as mx
import numpy as np

from detkit import ops
from detkit.cli import debug_argument, positive, run
from detkit.errors import DetkitError
from detkit.ops import backend

TYPES = ("float32",) * 6 + ("float16", "float64", "int32", "int64", "uint8", "bool")
NUMBERS = (0, 1, -1, 2, 7, 0.5, -0.5, 1e-30, 1e30, float("nan"), float("inf"), 2**31 - 1, 2**40)
VALUES = (0.0, -1.0, 1e30, -1e30, float("nan"), float("inf"), 1e-30)
BATCH = 500  # calls of a process


class CallError(DetkitError):
    """A call ended its process."""


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Makes all calls; raises CallError if one of them ended its process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=positive, default=2000, help="calls of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first call")
    parser.add_argument("--only", choices=(backend.NATIVE, backend.MXNET), help="one kind alone")
    parser.add_argument("--worker", metavar="FILE", help=argparse.SUPPRESS)
    debug_argument(parser)
    args = parser.parse_args(argv)
    if args.worker:
        work(args.only, args.seed, args.first, args.cases, Path(args.worker))
        return
    died = []
    print("| operators | calls | results | exceptions | signals |\n|---|---|---|---|---|")
    for name in [args.only] if args.only else (backend.NATIVE, backend.MXNET):
        answered, raised, dead = calls(name, args.seed, args.first, args.cases)
        print(f"| {name} | {args.cases} | {answered} | {raised} | {len(dead)} |", flush=True)
        died += dead
    if died:
        raise CallError("expected a result or an exception, found\n  " + "\n  ".join(died))


def calls(name: str, seed: int, first: int, count: int) -> Tuple[int, int, Sequence[str]]:
    """Returns how many calls gave a result and how many raised, and a line for each that died."""
    answered = raised = 0
    died = []
    number, end = first, first + count
    while number < end:
        with tempfile.TemporaryDirectory() as folder:
            notes = Path(folder) / "notes"
            amount = min(BATCH, end - number)
            options = ("--only", name, "--seed", seed, "--first", number, "--cases", amount)
            command = [sys.executable, __file__, *options, "--worker", notes]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            lines = notes.read_text(encoding="ascii").split() if notes.exists() else []
        outcomes = [line for line in lines if line in ("result", "exception")]
        answered += outcomes.count("result")
        raised += outcomes.count("exception")
        number += len(outcomes)
        if done.returncode:
            repeat = f"--only {name} --seed {seed} --first {number} --cases 1"
            died.append(f"status {done.returncode}: python tools/fuzz_calls.py {repeat}")
            number += 1
    return answered, raised, died


def work(name: str, seed: int, first: int, count: int, notes: Path) -> None:
    """Makes some calls and writes the outcome of each to ``notes``."""
    with backend.using(name), open(notes, "w", encoding="ascii") as file:
        for number in range(first, first + count):
            file.write(f"{outcome(np.random.default_rng([seed, number]))}\n")
            file.flush()


def outcome(rng: np.random.Generator) -> str:
    """Makes a call; returns "result" or "exception"."""
    try:
        made = OPERATORS[rng.integers(len(OPERATORS))](rng)
        for each in made if isinstance(made, (list, tuple)) else [made]:
            each.asnumpy()
    except Exception:  # whatever an operator raises
        return "exception"
    return "result"


def array(rng: np.random.Generator, *shape: int) -> Any:
    """Draws an array of about this shape; one in six has another rank, size or type."""
    sides = list(shape)
    if rng.random() < 0.06:
        sides[rng.integers(len(sides))] = int(rng.choice([0, 1, 3, 17]))
    if rng.random() < 0.04:
        sides = sides[1:] or [1]
    values = rng.uniform(-20, 90, sides)
    strange = rng.random(sides) < rng.choice([0, 0, 0.1, 1])
    values[strange] = rng.choice(VALUES, strange.sum())
    with np.errstate(invalid="ignore", over="ignore"):
        return mx.nd.array(values.astype(TYPES[rng.integers(len(TYPES))]), dtype=None)


def number(rng: np.random.Generator, usual: float) -> float:
    """Draws an attribute, which is strange in one of four calls."""
    return NUMBERS[rng.integers(len(NUMBERS))] if rng.random() < 0.25 else usual


def whole(rng: np.random.Generator, usual: int) -> int:
    """Draws a whole number that asks for no more memory than a machine has."""
    return int(rng.choice([0, 1, -1, -7, 3, 1000])) if rng.random() < 0.2 else usual


def nms(rng: np.random.Generator) -> Any:
    """Calls ops.nms."""
    labels = array(rng, 2, 9) if rng.random() < 0.5 else None
    ends = whole(rng, 7), whole(rng, 5)
    return ops.nms(mx.nd, array(rng, 2, 9, 4), array(rng, 2, 9), number(rng, 0.5), *ends, labels)


def soft_nms(rng: np.random.Generator) -> Any:
    """Calls ops.soft_nms."""
    mode = ("linear", "gaussian")[rng.integers(2)]
    numbers = number(rng, 0.5), number(rng, 0.5), number(rng, 0.01)
    return ops.soft_nms(mx.nd, array(rng, 2, 9, 4), array(rng, 2, 9), whole(rng, 5), mode, *numbers)


def match(rng: np.random.Generator) -> Any:
    """Calls ops.match."""
    candidates = array(rng, 2, 9) if rng.random() < 0.5 else None
    boxes = array(rng, int(rng.choice([1, 2])), 9, 4)
    return ops.match(mx.nd, boxes, candidates, array(rng, 2, 3, 4), array(rng, 2, 3))


def proposals(rng: np.random.Generator) -> Any:
    """Calls ops.proposals."""
    levels = [(array(rng, 1, n, 4), array(rng, 2, n), array(rng, 2, n, 4)) for n in (9, 5)]
    ends, iou, least = (whole(rng, 7), whole(rng, 5)), number(rng, 0.5), number(rng, 1)
    weights = [number(rng, 1) for _ in range(4)]
    return ops.proposals(mx.nd, levels, array(rng, 2, 2), *ends, iou, least, weights)


def roi_pooling(rng: np.random.Generator) -> Any:
    """Calls one of the RoI poolings, on one map or on two."""
    size, several = whole(rng, 3), rng.random() < 0.4
    maps: Any = (
        [array(rng, 2, 3, 9, 9), array(rng, 2, 3, 5, 5)] if several else array(rng, 2, 3, 9, 9)
    )
    stride: Any = [number(rng, 8), number(rng, 16)] if several else number(rng, 8)
    levels = ops.Levels(whole(rng, 3), whole(rng, 3), number(rng, 60)) if several else None
    common = (mx.nd, maps, array(rng, 2, 4, 4), size, stride)
    kind = rng.integers(4)
    if kind == 0:
        mode = ("average", "max")[rng.integers(2)]
        return ops.roi_align(*common, whole(rng, 2), bool(rng.integers(2)), mode, levels)
    pool = (ops.roi_pool, ops.prroi_pool, ops.crop_pool)[kind - 1]
    return pool(*common, levels=levels)


def mask_target(rng: np.random.Generator) -> Any:
    """Calls ops.mask_target."""
    masks = array(rng, 2, 3, 16, 16).astype("uint8")
    index = array(rng, 2, 4).astype("int32")
    return ops.mask_target(mx.nd, masks, array(rng, 2, 4, 4), index, whole(rng, 5))


def mask_paste(rng: np.random.Generator) -> Any:
    """Calls ops.mask_paste."""
    sides = whole(rng, 20), whole(rng, 30)
    return ops.mask_paste(mx.nd, array(rng, 4, 7, 7), array(rng, 4, 4), *sides)


def convolution(rng: np.random.Generator) -> Any:
    """Calls ops.convolution."""
    kernel, groups = (1, 3, 3, 5)[rng.integers(4)], (1, 1, 6)[rng.integers(3)]
    arguments = {
        "kernel": (kernel, kernel),
        "pad": (whole(rng, kernel // 2),) * 2,
        "stride": (whole(rng, int(rng.choice([1, 2]))),) * 2,
        "num_filter": whole(rng, 6),
        "num_group": whole(rng, groups),
    }
    arrays = array(rng, 2, 6, 7, 9), array(rng, 6, 6 // groups, kernel, kernel), array(rng, 6)
    residual = array(rng, 2, 6, 7, 9) if rng.random() < 0.3 else None
    bounds = {"relu": bool(rng.integers(2)), "most": number(rng, 6)}
    return ops.convolution(mx.nd, *arrays, **bounds, residual=residual, **arguments)


def resizing(rng: np.random.Generator) -> Any:
    """Calls what follows a convolution: ops.rectify, ops.max_pool or ops.upsample."""
    maps, kind = array(rng, 2, 3, 7, 9), rng.integers(3)
    if kind == 0:
        return ops.rectify(mx.nd, maps, number(rng, 6))
    if kind == 1:
        return ops.max_pool(mx.nd, maps)
    return ops.upsample(mx.nd, maps, array(rng, 1, 2, 13, 18))


OPERATORS = (
    *(nms, soft_nms, match, proposals, roi_pooling, mask_target, mask_paste),
    *(convolution, resizing),
)


if __name__ == "__main__":
    sys.exit(run(main))
