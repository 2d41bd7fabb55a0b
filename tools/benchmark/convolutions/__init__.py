"""Modules of tools/benchmark_convs.py, which times the 3x3 convolutions of networks.

This file imports nothing, because a worker under another interpreter loads it without detkit.
"""
