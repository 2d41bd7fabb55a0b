"""Modules of the benchmarks in tools/, see README.md.

This file and detectors/__init__.py import nothing, because a worker under another interpreter
loads them without detkit.
"""
