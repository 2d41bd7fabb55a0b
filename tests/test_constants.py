"""One number under one name: detkit/constants.py and kernels.h."""

import re

import pytest

from detkit import constants
from support import tiny

KERNELS_H = (tiny.ROOT / "detkit/ops/native/kernels.h").read_text(encoding="utf-8")
NUMBER = re.compile(r"^#define DETKIT_(\w+) +\(?(-?[\d.]+(?:e-?\d+)?)f?\)? ", re.MULTILINE)
NAMES = [name for name in vars(constants) if name.isupper()]


@pytest.mark.parametrize("name", NAMES)
def test_the_specification_of_the_operators_has_the_same_number(name):
    numbers = {name: float(text) for name, text in NUMBER.findall(KERNELS_H)}
    assert numbers[name] == getattr(constants, name)


def test_there_are_constants():
    assert {"MAX_LOG_SCALE", "CROWD", "MIN_ROI_SIDE"} <= set(NAMES)
