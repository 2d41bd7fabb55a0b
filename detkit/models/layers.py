"""Layers that several networks are made of."""

from mxnet import init
from mxnet.gluon import nn

from detkit.models.norms import freeze_norms, norm_layer

# He's initialisation (He et al. 2015): normal numbers of the variance 2 / fan. The fan-in, the
# inputs of an output, keeps the size of the features; the fan-out keeps that of their gradients.
HE_FAN_IN = init.Xavier("gaussian", "in", 2)
HE_FAN_OUT = init.Xavier("gaussian", "out", 2)


def relu(F, x):
    """max(x, 0) by the operator that oneDNN has.

    F.relu is MXNet's own, and each makes MXNet put a convolution's result into another order.
    """
    return F.Activation(x, act_type="relu")


def relu6(F, x):
    """min(max(x, 0), 6), for nn.HybridLambda; MXNet's clip is several times slower on a CPU."""
    return F.minimum(relu(F, x), 6)


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


class SplitDeconv(nn.Conv2DTranspose):
    """A deconvolution whose kernel and stride are 2: (N, C, H, W) -> (4 N, C', H, W).

    Its windows do not overlap: each cell makes 2x2 cells of its own, and that is a 1x1 convolution,
    which a CPU is faster at and can do with fewer bits. The four maps of an image are left apart,
    those of the upper left, upper right, lower left and lower right cells, since 1x1 layers that
    follow do not care; ``joined`` puts the last one's together. The weights are a deconvolution's.
    """

    def __init__(self, channels, in_channels, **options):
        super().__init__(channels, 2, strides=2, in_channels=in_channels, **options)

    def hybrid_forward(self, F, x, weight, bias):
        """The four maps; an activation comes after it."""
        filters = 4 * self._channels
        kernel = F.reshape(F.transpose(weight, axes=(2, 3, 1, 0)), shape=(filters, -1, 1, 1))
        shift = F.tile(bias, reps=(4,))
        x = F.Convolution(x, kernel, shift, kernel=(1, 1), num_filter=filters, name="fwd")
        x = x if self.act is None else self.act(x)
        return F.reshape(x, shape=(-1, self._channels, 0, 0))


def joined(F, maps):
    """One map (N, 1, 2 H, 2 W) of each four of a SplitDeconv, (4 N, 1, H, W)."""
    return F.depth_to_space(F.reshape(maps, shape=(-1, 4, 0, 0)), block_size=2)


def conv_relu(before, width, norm=None, weights=HE_FAN_IN):
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
    # Not broadcast_mul, whose gradient takes ten times as long.
    weight = value(conv.weight)
    kernel = weight * F.broadcast_like(F.reshape(scale, shape=(-1, 1, 1, 1)), weight)
    mean = value(norm.running_mean)
    if conv.bias is not None:
        mean = mean - value(conv.bias)
    shift = value(norm.beta) - mean * scale
    return F.Convolution(x, kernel, shift, **{**conv._kwargs, "no_bias": False})
