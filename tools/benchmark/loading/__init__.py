"""Modules of tools/benchmark_loader.py, which times the loader of a training."""
