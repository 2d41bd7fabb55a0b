"""The measuring process of tools/benchmark_ops.py, on as many threads as OMP_NUM_THREADS says.

    worker.py time OUT SECONDS [NAME ...]
        times the cases whose names begin with a NAME, or all
    worker.py memory OUT IMPLEMENTATION N G
        measures by how much the resident memory grows when N boxes are matched with G objects

The result is written to OUT as JSON. The exit status is 1 if two implementations disagree.
"""

import json
import os
import sys
from typing import Any, Dict, Sequence

import detkit  # noqa: F401  # isort: skip  before MXNet

from benchmark.operators import operator_cases
from benchmark.operators.implementations import torch
from benchmark.operators.timing import Clock, machine_rates, peak_growth
from detkit.cli import run


def main(argv: Sequence[str]) -> None:
    """Measures, and writes the result."""
    mode, out, *arguments = argv
    result = time_cases(*arguments) if mode == "time" else match_memory(*arguments)
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result, file)


def time_cases(seconds: str, *names: str) -> Dict[str, Any]:
    """Returns the machine's rates and, in "rows", the times of the cases."""
    if torch is not None:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    clock, rates = Clock(float(seconds)), machine_rates()
    rows = []
    for case in operator_cases.all_cases(names):
        floor = max(case.moved / rates["bytes"], case.operations / rates["operations"])
        work = {"moved": case.moved, "operations": case.operations, "floor": 1e3 * floor}
        rows.append({"name": case.name, **clock.measure(case), **work})
        print(f"  {case.name}", file=sys.stderr)
    return {"machine": rates, "rows": rows}


def match_memory(implementation: str, boxes: str, objects: str) -> int:
    """Returns by how many bytes the resident memory grows during one match."""
    small, large = (operator_cases.match_case(n, int(objects)) for n in (100, int(boxes)))
    small.implementations[implementation].call()  # loads what the first use of an operator loads
    return peak_growth(large.implementations[implementation].call)


if __name__ == "__main__":
    sys.exit(run(main))
