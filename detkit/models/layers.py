"""Layers that several networks are made of."""

from mxnet import init
from mxnet.gluon import nn

from detkit.models.norms import freeze_norms, norm_layer

HE_NORMAL = init.Xavier("gaussian", "in", 2)  # He et al. 2015


def relu6(F, x):
    """min(max(x, 0), 6), for nn.HybridLambda; MXNet's clip is several times slower on a CPU."""
    return F.minimum(F.Activation(x, act_type="relu"), 6)


def freeze(block):
    """Keep the weights of a block, and the statistics of its batch norms, as they are."""
    block.collect_params().setattr("grad_req", "null")
    freeze_norms(block)


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
        return run_folding(F, x, self)


def conv_relu(before, width, norm=None, weights=HE_NORMAL):
    """A 3x3 convolution and a ReLU: (B, before, H, W) -> (B, width, H, W).

    norm: one of NORMS between them; the convolution then has no bias.
    weights: what initialises them.
    """
    layers = FoldingSequential()
    with layers.name_scope():
        layers.add(
            nn.Conv2D(
                width,
                3,
                padding=1,
                use_bias=not norm,
                in_channels=before,
                weight_initializer=weights,
            )
        )
        if norm:
            layers.add(norm_layer(norm, width))
        layers.add(nn.Activation("relu"))
    return layers


def run_folding(F, x, layers):
    """What ``layers``, one after another, make of x; see FoldingSequential."""
    layers = list(layers)
    while layers:
        layer = layers.pop(0)
        if isinstance(layer, nn.Conv2D) and layers and isinstance(layers[0], nn.BatchNorm):
            x = conv_norm(F, x, layer, layers.pop(0))
        else:
            x = layer(x)
    return x


def conv_norm(F, x, conv, norm):
    """norm(conv(x)); one convolution where the batch norm is frozen, as FoldingSequential says."""
    frozen = isinstance(norm, nn.BatchNorm) and norm._kwargs["use_global_stats"]
    return _folded(F, x, conv, norm) if frozen else norm(conv(x))


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
