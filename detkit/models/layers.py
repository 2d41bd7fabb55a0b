"""Layers that several networks are made of."""

from mxnet.gluon import nn


def relu6(F, x):
    """min(max(x, 0), 6), for nn.HybridLambda; MXNet's clip is several times slower on a CPU."""
    return F.minimum(F.Activation(x, act_type="relu"), 6)


class FoldingSequential(nn.HybridSequential):
    """Layers one after another, where a frozen batch norm costs nothing.

    A BatchNorm with use_global_stats multiplies and shifts each channel by numbers that do not
    depend on the batch. After a convolution the two are one convolution, whose kernel and bias are
    computed in the graph: MXNet's CPU kernel for such a norm takes longer than the network around
    it. The result and every gradient are the same, the norm's scale and shift still learn, and all
    names are those of the layers written out.
    """

    def hybrid_forward(self, F, x):
        """What the layers make of x."""
        layers = list(self._children.values())
        while layers:
            layer = layers.pop(0)
            if isinstance(layer, nn.Conv2D) and layers and _is_frozen_norm(layers[0]):
                x = _folded(F, x, layer, layers.pop(0))
            else:
                x = layer(x)
        return x


def _is_frozen_norm(layer):
    return isinstance(layer, nn.BatchNorm) and layer._kwargs["use_global_stats"]


def _folded(F, x, conv, norm):
    """norm(conv(x)) as one convolution."""

    def value(parameter):
        return parameter.data(x.context) if hasattr(x, "context") else parameter.var()

    deviation = F.sqrt(value(norm.running_var) + norm._kwargs["eps"])
    scale = value(norm.gamma) / deviation
    kernel = F.broadcast_mul(value(conv.weight), F.reshape(scale, shape=(-1, 1, 1, 1)))
    mean = value(norm.running_mean)
    if conv.bias is not None:
        mean = mean - value(conv.bias)
    shift = value(norm.beta) - mean * scale
    return F.Convolution(x, kernel, shift, **{**conv._kwargs, "no_bias": False})
