"""Layers: activations, norms, and convolutions that fold norms; the maps of a backbone."""

from typing import List, Sequence

from mxnet import init
from mxnet.gluon import HybridBlock, contrib, nn

NORMS = ("BN", "FrozenBN", "FrozenStatsBN", "SyncBN", "GN")
GROUPS = 32  # of channels, in GN

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


def norm_layer(kind, channels, eps=1e-5, momentum=0.9):
    """The normalisation that parts name in ``norm``, one of NORMS.

    BN: batch norm (Ioffe and Szegedy 2015).
    FrozenBN: batch norm that keeps its statistics, scale and shift: those of a file.
    FrozenStatsBN: batch norm that keeps its statistics; scale and shift still learn.
    SyncBN: batch norm whose statistics are those of all devices' batches, see SyncBatchNorm. A
        training of detkit runs on one device and refuses it.
    GN: group norm in 32 groups (Wu and He 2018), the same whatever the batch.
    """
    if kind not in NORMS:
        raise ValueError(f"norm is one of {', '.join(NORMS)}, not {kind!r}")
    if kind == "GN":
        return GroupNorm(channels, eps)
    batch_norm = SyncBatchNorm if kind == "SyncBN" else nn.BatchNorm
    layer = batch_norm(momentum=momentum, epsilon=eps, in_channels=channels)
    if kind == "FrozenBN":
        freeze_norms(layer)
    elif kind == "FrozenStatsBN":
        freeze_statistics(layer)
    return layer


class GroupNorm(HybridBlock):
    """Mean and variance of each image's C / groups channels, then scale and shift of each channel.

    Wu and He 2018, section 3.1. Gluon's has one scale and one shift for a whole group.
    """

    def __init__(self, channels, eps=1e-5, groups=GROUPS):
        super().__init__()
        if channels % groups:
            raise ValueError(f"GN has {groups} groups of channels, and {channels} do not divide")
        self._how = {"num_groups": groups, "eps": eps}
        with self.name_scope():
            self.gamma = self.params.get("gamma", shape=(channels,), init="ones")
            self.beta = self.params.get("beta", shape=(channels,), init="zeros")

    def hybrid_forward(self, F, x, gamma, beta):
        """(B, C, H, W) -> the same shape."""
        one = F.ones_like(F.slice_axis(gamma, axis=0, begin=0, end=self._how["num_groups"]))
        x = F.GroupNorm(x, one, F.zeros_like(one), **self._how)
        gamma, beta = (F.reshape(each, shape=(1, -1, 1, 1)) for each in (gamma, beta))
        return F.broadcast_add(F.broadcast_mul(x, gamma), beta)


class SyncBatchNorm(contrib.nn.SyncBatchNorm):
    """Batch norm over what all the devices of a process see together (Peng et al. 2018).

    It is plain batch norm until ``synchronise_norms`` has told it of more devices than one, which
    a loop of one's own that runs a block on several must do.
    """

    def __init__(self, **options):
        super().__init__(num_devices=1, **options)

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        """(B, C, H, W) -> the same shape."""
        inputs = (x, gamma, beta, running_mean, running_var)
        if self._kwargs["ndev"] > 1:
            return super().hybrid_forward(F, *inputs)
        # The same numbers, several times as fast.
        alone = {name: self._kwargs[name] for name in ("eps", "momentum", "use_global_stats")}
        return F.BatchNorm(*inputs, fix_gamma=False, **alone)


def synchronise_norms(block, devices):
    """Tells each SyncBatchNorm in ``block``, before its first call, how many devices run it."""

    def visit(child):
        if isinstance(child, SyncBatchNorm):
            child._kwargs["ndev"] = devices

    block.apply(visit)


def freeze_norms(block):
    """Keep the statistics, scale and shift of every batch norm within ``block`` as they are."""
    freeze_statistics(block)

    def visit(child):
        if isinstance(child, nn.BatchNorm):
            child.collect_params().setattr("grad_req", "null")

    block.apply(visit)


def freeze_statistics(block):
    """Keep the means and variances of every batch norm within ``block``; the rest still learns."""

    def visit(child):
        if isinstance(child, nn.BatchNorm):
            child._kwargs["use_global_stats"] = True

    block.apply(visit)


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


def maps_of_strides(out_strides: Sequence[int], strides: Sequence[int]) -> List[int]:
    """The numbers of the maps that a backbone's ``out_strides`` asks for, finest first.

    strides: of all the maps that the backbone can return, finest first. If several maps have one
        stride, as in a dilated ResNet, that stride means the last of them; written twice, it means
        the last two.

    Raises ValueError if ``out_strides`` is empty, is not ordered, or has a stride more often than
    the backbone does.
    """
    wanted, available = list(out_strides), list(strides)
    too_many = any(wanted.count(stride) > available.count(stride) for stride in wanted)
    if not wanted or wanted != sorted(wanted) or too_many:
        raise ValueError(
            f"out_strides: expected one or more of {', '.join(map(str, available))}, finest first, "
            f"found {wanted}"
        )
    numbers = []
    for stride in sorted(set(wanted)):
        same = [number for number, each in enumerate(available) if each == stride]
        numbers += same[-wanted.count(stride) :]
    return numbers
