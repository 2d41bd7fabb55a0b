"""Seeds: every draw of a run is a function of the config's seed and the place in the run."""

import random

import mxnet as mx
import numpy as np

from detkit.typing import Context


def seed_run(seed: int) -> None:
    """Seeds the global generators of Python and numpy at the start of a run."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def seed_step(seed: int, step: int, ctx: Context) -> None:
    """Seeds MXNet's generator of a device for what it draws next in one training step.

    The generator's state can neither be read nor saved, so that a resumed run could not continue
    with it. Because it is seeded before every step, step n draws the same numbers whether or not
    the run was interrupted.

    Devices that share a batch are given the same seed, so that they draw what one device would draw
    for the whole batch. All of a CPU's devices have one generator: it is seeded before the part of
    each of them, and MXNet keeps the order of seeding and drawing.
    """
    sequence = np.random.SeedSequence([seed, step])
    mx.random.seed(int(sequence.generate_state(1)[0]) % 2**31, ctx)
