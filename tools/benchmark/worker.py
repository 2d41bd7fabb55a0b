"""The measuring process of tools/benchmark_ops.py, on as many threads as OMP_NUM_THREADS says.

    worker.py time OUT SECONDS [NAME ...]   times the cases whose names begin so; all without
    worker.py memory OUT SIDE N G           the peak growth of the resident memory of one match

Writes JSON into OUT. Exit status 1 where two sides disagree.
"""

import json
import os
import sys

import detkit  # noqa: F401  # isort: skip  before MXNet

import cases
import timing
from sides import torch


def main(mode, out, *arguments):
    found = {"time": time_cases, "memory": match_memory}[mode](*arguments)
    with open(out, "w", encoding="utf-8") as file:
        json.dump(found, file)


def time_cases(seconds, *names):
    if torch is not None:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    clock, machine = timing.Clock(float(seconds)), timing.machine()
    rows = []
    for case in cases.all_cases(names):
        floor = max(case.moved / machine["bytes"], case.operations / machine["operations"])
        work = {"moved": case.moved, "operations": case.operations, "floor": 1e3 * floor}
        rows.append({"name": case.name, **clock.measure(case), **work})
        print(f"  {case.name}", file=sys.stderr)
    return {"machine": machine, "rows": rows}


def match_memory(side, boxes, objects):
    small, large = (cases.match_case(n, int(objects)) for n in (100, int(boxes)))
    small.sides[side].call()  # what is loaded on first use is not the operator's
    return timing.peak_growth(large.sides[side].call)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except timing.Disagreement as error:
        sys.exit(f"error: {error}")
