"""Modules of tools/benchmark.py, which times whole detectors beside each other."""
