"""Modules of tools/benchmark_ops.py, which times single operators beside each other."""
