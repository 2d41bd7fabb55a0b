"""Torch's names of parameters, which networks and readers of weights share."""

_TORCH_NAMES = {"gamma": "weight", "beta": "bias"}


def torch_name(name: str) -> str:
    """Returns torch's name of a parameter: batch norm's gamma and beta become weight and bias."""
    parent, dot, last = name.rpartition(".")
    return parent + dot + _TORCH_NAMES.get(last, last)
