"""Ground truth and a sampler for the tests of training targets."""

import mxnet as mx
import numpy as np
from hypothesis import strategies as st
from mxnet.gluon import HybridBlock

SIZES = ((48, 64), (32, 40))
WEIGHTS = (10, 10, 5, 5)
ALL = {"size": 10000, "positive_share": 1}  # a sampler that draws all leaves nothing to chance


@st.composite
def objects(draw, sizes):
    """gt_boxes (B, G, 4), gt_labels (B, G) of three classes: 0 to G real ones in each image.

    The label alone says what is padding, whatever its box.
    """
    slots = draw(st.integers(1, 4))
    boxes = np.zeros((len(sizes), slots, 4), "float32")
    boxes[:] = draw(st.sampled_from([[0, 0, 0, 0], [2, 2, 14, 14]]))
    labels = np.full((len(sizes), slots), -1, "float32")
    for row, (h, w) in enumerate(sizes):
        for slot in range(draw(st.integers(0, slots))):
            x, y = draw(st.integers(0, w - 2)), draw(st.integers(0, h - 2))
            right, bottom = draw(st.integers(x + 1, w)), draw(st.integers(y + 1, h))
            boxes[row, slot], labels[row, slot] = [x, y, right, bottom], draw(st.integers(0, 2))
    return boxes, labels


def nd(*arrays):
    return [mx.nd.array(array) for array in arrays]


class ByNumber(HybridBlock):
    """Draws the boxes for which a number it needs is above 1/4 and keeps the class of the rest."""

    size = None

    def __init__(self, need):
        super().__init__()
        self.needs = (need,)

    def hybrid_forward(self, F, labels, numbers):
        return F.where(numbers > 0.25, labels, -F.ones_like(labels))


def assert_hybridizing_changes_nothing(block, inputs):
    """``block`` returns the same under one seed, plain and hybridized."""
    mx.random.seed(3)
    plain = [array.asnumpy() for array in block(*inputs)]
    block.hybridize()
    mx.random.seed(3)
    for found, expected in zip(block(*inputs), plain):
        np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-6)
