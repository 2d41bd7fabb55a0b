"""The error of tools/benchmark.py, benchmark_ops.py and benchmark_convs.py."""

from detkit.errors import DetkitError


class BenchmarkError(DetkitError):
    """A measurement that cannot be made, or that misses what is required of it."""
