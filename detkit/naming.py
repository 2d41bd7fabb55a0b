"""Torch's names of parameters: for networks that are named alike, and for files of weights."""

_TORCH_NAMES = {"gamma": "weight", "beta": "bias"}


def torch_name(name: str) -> str:
    """Torch's name of a parameter: batch norm's gamma and beta are its weight and bias."""
    parent, dot, last = name.rpartition(".")
    return parent + dot + _TORCH_NAMES.get(last, last)
