"""What the machine has: data beside the repository, and which operators are tested."""

from pathlib import Path

import pytest

from detkit.ops import backend

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"

# Every operator is tested as MXNet's and as detkit's own; without a compiler the second is skipped.
OPERATORS = backend.choose()
BACKENDS = [
    "mxnet",
    pytest.param(
        "native",
        marks=pytest.mark.skipif(
            OPERATORS.name != "native", reason=f"no native operators: {OPERATORS.reason}"
        ),
    ),
]
