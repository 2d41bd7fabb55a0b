"""Seeds: every draw of a run is a function of the config's seed and where the run is."""

import random

import mxnet as mx
import numpy as np


def seed_run(seed):
    """Seed the global generators at the start of a run."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def seed_step(seed, step):
    """Seed MXNet's generator for one training step.

    Its state can neither be read nor saved, so a resumed run could not go on with it: seeded
    before every step, step n draws the same whether or not the run was interrupted.
    """
    sequence = np.random.SeedSequence([seed, step])
    mx.random.seed(int(sequence.generate_state(1)[0]) % 2**31)
