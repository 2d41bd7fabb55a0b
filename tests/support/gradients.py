"""Gradients by autograd and by differences."""

import mxnet as mx
import numpy as np
from mxnet import autograd


def gradient(function, array):
    """The gradient of sum(function(x)) at x, by autograd."""
    x = mx.nd.array(array)
    x.attach_grad()
    with autograd.record():
        total = function(x).sum()
    total.backward()
    return x.grad.asnumpy()


def slopes(function, array, step=1e-2):
    """The same gradient by central differences, one element at a time."""
    found = np.zeros_like(array, "float64")
    for index in np.ndindex(*array.shape):
        move = np.zeros_like(array)
        move[index] = step
        higher, lower = (function(mx.nd.array(array + m)).sum().asscalar() for m in (move, -move))
        found[index] = (higher - lower) / (2 * step)
    return found


def value_and_gradient(loss, predicted, target):
    """The losses, and the gradient of their sum at predicted, of a compiled loss."""
    loss.hybridize()
    x = mx.nd.array(predicted)
    x.attach_grad()
    with autograd.record():
        losses = loss(x, mx.nd.array(target))
    losses.backward()
    return losses.asnumpy(), x.grad.asnumpy()
