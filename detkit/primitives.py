"""The memory of the primitives that oneDNN makes for each new shape of an input of MXNet's layers.

A primitive is the machine code of one layer for one shape. A ResNet-50 with an FPN has some 15 MB
of them for each shape of its images.
"""

import os
import sys

VARIABLE = "MXNET_MKLDNN_CACHE_NUM"
MOST = 512  # for each kind of layer, forward and backward


def bound_primitives() -> None:
    """Limits the primitives that MXNet keeps to 512, unless MXNET_MKLDNN_CACHE_NUM is set.

    By default MXNet keeps those of every shape that a network has ever had, and a detector of
    images of many sizes needs ever more memory. oneDNN itself keeps the last 1024, from which a
    layer of a known shape is made again in about a tenth of a millisecond. MXNet reads the variable
    once: after it is imported, this function does nothing.
    """
    if VARIABLE not in os.environ and "mxnet" not in sys.modules:
        os.environ[VARIABLE] = str(MOST)
