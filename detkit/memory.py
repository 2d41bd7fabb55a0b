"""Limits of what makes a process grow: MXNet's caches and malloc's arenas."""

import ctypes
import os
import sys

PRIMITIVES = "MXNET_MKLDNN_CACHE_NUM"
MOST_PRIMITIVES = 512  # for each kind of layer, forward and backward
ARENAS = "MALLOC_ARENA_MAX"
MOST_ARENAS = 2  # one for Python's thread, one for MXNet's
M_ARENA_MAX = -8  # the number of this limit in glibc's malloc.h


def bound_primitives() -> None:
    """Limits the primitives that MXNet keeps to 512, unless MXNET_MKLDNN_CACHE_NUM is set.

    A primitive is the machine code that oneDNN makes of one layer for one shape of its input. A
    ResNet-50 with an FPN has some 15 MB of them for each shape of its images. By default MXNet
    keeps those of every shape that a network has ever had, and a detector of images of many sizes
    needs ever more memory. oneDNN itself keeps the last 1024, from which a layer of a known shape
    is made again in about a tenth of a millisecond. MXNet reads the variable once: after it is
    imported, this function does nothing.
    """
    if PRIMITIVES not in os.environ and "mxnet" not in sys.modules:
        os.environ[PRIMITIVES] = str(MOST_PRIMITIVES)


def bound_arenas() -> None:
    """Lets the threads of this process share two arenas of malloc, unless MALLOC_ARENA_MAX is set.

    By default glibc gives each thread an arena of its own. MXNet allocates an array in one thread
    and frees it in another, and in a training whose shapes change the arenas fill unevenly: 21 to
    40 MB more within 5000 steps of a tiny detector, and nearly nothing with two. Only glibc has
    this limit; with another C library this function does nothing.
    """
    if ARENAS not in os.environ and sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(M_ARENA_MAX, MOST_ARENAS)
