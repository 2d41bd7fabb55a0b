"""The error of tools/benchmark.py and tools/benchmark_ops.py."""

from detkit.errors import DetkitError


class BenchmarkError(DetkitError):
    """A measurement that cannot be made, or that misses what is required of it."""
