"""Calls of every kernel in kernels.h with drawn arrays, for comparisons of two processors.

A function ``of_NAME`` takes a generator of numpy and yields calls, forward and backward. EXACT are
those whose results are compared or copied: every processor has to give the same bits. ROUNDED are
sums of products, whose last bits may differ. LARGE are calls that several threads share.
"""

import numpy as np

from support import kernel_cases
from support.cuda_kernels import NMS_MODES, Align, MaskTarget, Match, Nms, Proposals, geometry_of
from support.kernel_calls import Call, Conv1x1, Conv3x3, Depthwise, Out
from support.kernel_roi_oracles import Geometry

PYRAMID = Geometry(4, [1 / 4, 1 / 8], first_level=2, canonical_level=3, canonical_size=32.0)
MOST = 6.0  # of a bounded ReLU
ROIS = 12  # of each image


def normal(rng, *shape):
    return rng.normal(0, 1, shape).astype("float32")


def boxes(rng, *shape):
    """(..., 4) of pixels of an image of 64 x 80, whose corners no product rounds to a cell."""
    corner = rng.uniform(-4, 56, (*shape, 2))
    return np.concatenate([corner, corner + rng.uniform(2, 40, (*shape, 2))], -1).astype("float32")


def of_nms(rng):
    images, count, rows = 2, 600, 400
    shape = images, count
    scores, labels = (
        rng.choice(values, shape).astype("float32")
        for values in (kernel_cases.SCORES, kernel_cases.LABELS)
    )
    arrays = kernel_cases.grid_boxes(rng, *shape), scores, labels
    outputs = Out((images, rows, 4)), Out((images, rows)), Out((images, rows))
    for mode in NMS_MODES.values():
        nms = Nms(images, count, -1, rows, mode, 0.5, 0.5, 0.2)
        yield Call("detkit_nms", (nms, *arrays, *outputs, Out((images, rows), "int32")))


def of_proposals(rng):
    images, rows = 2, 60
    levels = [
        (np.int32(n), boxes(rng, n), normal(rng, images, n), normal(rng, images, n, 4))
        for n in (300, 80)
    ]
    sizes = np.float32([[64, 80], [50, 70]])
    node = Proposals(images, len(levels), 100, rows, 0.7, 1.0, (1, 1, 2, 2))
    outputs = Out((images, rows, 4)), Out((images, rows))
    yield Call("detkit_proposals", (node, levels, sizes, *outputs))


def of_match(rng):
    images, count, objects = 2, 500, 6
    labels = rng.choice([0, 1, 5, -1, -2], (images, objects)).astype("float32")
    arrays = kernel_cases.grid_boxes(rng, images, count), None
    arrays += kernel_cases.grid_boxes(rng, images, objects), labels
    of_boxes = Out((images, count), "int32"), *(Out((images, count)),) * 3
    of_objects = Out((images, objects), "int32"), Out((images, objects))
    yield Call("detkit_match", (Match(images, count, objects, 0), *arrays, *of_boxes, *of_objects))


def of_masks(rng):
    images, objects, rois, size = 2, 3, 8, 14
    masks = rng.choice(np.array([0, 1, 200], "uint8"), (images, objects, 64, 80))
    index = rng.integers(-1, objects, (images, rois)).astype("int32")
    target = MaskTarget(images, objects, rois, 64, 80, size)
    out = Out((images, rois, size, size))
    yield Call("detkit_mask_target", (target, masks, boxes(rng, images, rois), index, out))
    sides = np.int32(64), np.int32(80)
    arrays = rng.random((5, size, size), "float32"), boxes(rng, 5)
    yield Call(
        "detkit_mask_paste", (np.int32(5), np.int32(size), *arrays, *sides, Out((5, *sides)))
    )


def of_pooling(rng, name, *how, arrays_of_rois=()):
    """Forward and backward from two levels of 20 channels: more than a block of 16."""
    features = [normal(rng, 2, 20, 16, 20), normal(rng, 2, 20, 8, 10)]
    rois = kernel_cases.numbered(boxes(rng, 2, ROIS))
    node = geometry_of(features, rois, PYRAMID)
    shape = len(rois), 20, PYRAMID.size, PYRAMID.size
    yield Call(f"detkit_{name}", (node, *how, features, rois, Out(shape)))
    grads = [Out(maps.shape) for maps in features], *arrays_of_rois
    arrays = features, rois, normal(rng, *shape)
    yield Call(f"detkit_{name}_backward", (node, *how, *arrays, *grads))


def of_roi_align(rng):
    for sampling, aligned, mode in ((2, 1, 0), (0, 0, 0), (2, 0, 1)):
        yield from of_pooling(rng, "roi_align", Align(sampling, aligned, mode))


def of_roi_pool(rng):
    for mode in (0, 1):
        yield from of_pooling(rng, "roi_pool", np.int32(mode))


def of_prroi_pool(rng):
    yield from of_pooling(rng, "prroi_pool", arrays_of_rois=[Out((2 * ROIS, 5))])


def of_crop_pool(rng):
    yield from of_pooling(rng, "crop_pool")


def of_convolution(name, conv, rng, weights, out, residual=()):
    """Forward with a bounded ReLU, and backward."""
    data, bias, grad_out = normal(rng, 2, 20, 13, 18), normal(rng, len(weights)), normal(rng, *out)
    arrays = data, weights
    yield Call(f"detkit_{name}", (conv, *arrays, bias, *residual, Out(out)))
    grads = [data, weights, bias, *residual]
    outputs = [Out(array.shape) for array in grads]
    # What the ReLU let through has to be the same for both.
    passed = np.clip(4 * normal(rng, *out), 0, MOST)
    yield Call(f"detkit_{name}_backward", (conv, *arrays, passed, grad_out, *outputs))


def of_conv3x3(rng):
    conv = Conv3x3(2, 20, 24, 13, 18, 1, MOST, 0, 0, 0)
    yield from of_convolution("conv3x3", conv, rng, normal(rng, 24, 20, 3, 3), (2, 24, 13, 18))


def of_conv1x1(rng):
    for stride, rows, columns in ((1, 13, 18), (2, 7, 9)):
        conv, out = Conv1x1(2, 20, 24, 13, 18, stride, 1, MOST, 0), (2, 24, rows, columns)
        residual = [normal(rng, *out)]
        yield from of_convolution("conv1x1", conv, rng, normal(rng, 24, 20), out, residual)


def of_dense(rng):
    """A 1x1 convolution of maps of one pixel."""
    conv = Conv1x1(40, 70, 30, 1, 1, 1, 0, MOST, 0)
    arrays = normal(rng, 40, 70), normal(rng, 30, 70), normal(rng, 30), None
    yield Call("detkit_conv1x1", (conv, *arrays, Out((40, 30))))


def of_depthwise(rng):
    for stride, rows, columns in ((1, 13, 18), (2, 7, 9)):
        conv, out = Depthwise(2, 20, 13, 18, stride, 1, MOST), (2, 20, rows, columns)
        yield from of_convolution("depthwise", conv, rng, normal(rng, 20, 3, 3), out)


def of_rectify(rng):
    count, most, data = np.int64(1003), np.float32(MOST), 4 * normal(rng, 1003)
    arrays = np.clip(data, 0, MOST), normal(rng, 1003)
    yield Call("detkit_rectify", (count, most, data, Out((1003,))))
    yield Call("detkit_rectify_backward", (count, most, *arrays, Out((1003,))))


def of_max_pool(rng):
    sides, data = (np.int64(6), np.int32(13), np.int32(37)), normal(rng, 6, 13, 37)
    yield Call("detkit_max_pool", (*sides, data, Out((6, 6, 18))))
    grad_out = normal(rng, 6, 6, 18)
    yield Call("detkit_max_pool_backward", (*sides, data, grad_out, Out((6, 13, 37))))


def of_upsample(rng):
    sides = np.int64(6), *map(np.int32, (7, 19, 13, 38))
    data, grad_out = normal(rng, 6, 7, 19), normal(rng, 6, 13, 38)
    yield Call("detkit_upsample", (*sides, data, Out((6, 13, 38))))
    yield Call("detkit_upsample_backward", (*sides, grad_out, Out((6, 7, 19))))


EXACT = (of_nms, of_proposals, of_match, of_rectify, of_max_pool, of_upsample)
ROUNDED = (of_masks, of_roi_align, of_roi_pool, of_prroi_pool, of_crop_pool)
ROUNDED += (of_conv3x3, of_conv1x1, of_dense, of_depthwise)
LARGE = (of_nms, of_conv3x3)
