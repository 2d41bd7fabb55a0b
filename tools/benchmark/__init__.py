"""Modules of two tools: tools/benchmark.py (detectors/) and tools/benchmark_ops.py (operators/).

This file and detectors/__init__.py import nothing, because a worker under another interpreter
loads them without detkit.
"""
