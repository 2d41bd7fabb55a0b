"""Layers: activations, norms, and convolutions that fold norms; the maps of a backbone."""

from typing import Any, Iterable, List, Optional, Sequence

from mxnet import init
from mxnet.gluon import Block, HybridBlock, Parameter, contrib, nn

from detkit.typing import Namespace, Tensor

NORMS = ("BN", "FrozenBN", "FrozenStatsBN", "SyncBN", "GN")
GROUPS = 32  # of channels, in GN

# He's initialisation (He et al. 2015): normal numbers of the variance 2 / fan. The fan-in, the
# inputs of an output, keeps the size of the features; the fan-out keeps that of their gradients.
HE_FAN_IN = init.Xavier("gaussian", "in", 2)
HE_FAN_OUT = init.Xavier("gaussian", "out", 2)


def relu(F: Namespace, x: Tensor) -> Tensor:
    """Returns max(x, 0), of any shape, by the operator that oneDNN has.

    F.relu is MXNet's own operator, for which MXNet must reorder the output of each convolution.
    """
    return F.Activation(x, act_type="relu")


def relu6(F: Namespace, x: Tensor) -> Tensor:
    """Returns min(max(x, 0), 6), of any shape; MXNet's clip is several times slower on a CPU."""
    return F.minimum(relu(F, x), 6)


def norm_layer(kind: str, channels: int, eps: float = 1e-5, momentum: float = 0.9) -> HybridBlock:
    """Returns the normalisation layer for the argument ``norm`` of a part, one of NORMS.

    BN: batch norm (Ioffe and Szegedy 2015).
    FrozenBN: batch norm whose statistics, scale and shift are those of a file and stay so.
    FrozenStatsBN: batch norm whose statistics stay those of a file; scale and shift still learn.
    SyncBN: batch norm over the batches of all devices, see SyncBatchNorm. A training of detkit runs
        on one device and refuses it.
    GN: group norm in 32 groups (Wu and He 2018), which does not depend on the batch.

    eps: added to each variance. momentum: the weight of the running statistics in their update.

    Raises ValueError if there is no such norm, or if GN cannot divide the channels into groups.
    """
    if kind not in NORMS:
        raise ValueError(f"norm: expected one of {', '.join(NORMS)}, found {kind!r}")
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
    """Group norm with a scale and a shift for each channel (Wu and He 2018, section 3.1).

    The mean and the variance are those of C / groups channels of one image. Gluon's GroupNorm has
    one scale and one shift for a whole group instead.
    """

    def __init__(self, channels: int, eps: float = 1e-5, groups: int = GROUPS) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(
                f"norm: expected a multiple of {groups} channels for GN, found {channels}"
            )
        self._groups, self._eps = groups, eps
        with self.name_scope():
            self.gamma = self.params.get("gamma", shape=(channels,), init="ones")
            self.beta = self.params.get("beta", shape=(channels,), init="zeros")

    def hybrid_forward(self, F: Namespace, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Returns the normalised maps (B, C, H, W), of the shape of x."""
        one = F.ones_like(F.slice_axis(gamma, axis=0, begin=0, end=self._groups))
        x = F.GroupNorm(x, one, F.zeros_like(one), num_groups=self._groups, eps=self._eps)
        gamma, beta = (F.reshape(each, shape=(1, -1, 1, 1)) for each in (gamma, beta))
        return F.broadcast_add(F.broadcast_mul(x, gamma), beta)


class SyncBatchNorm(contrib.nn.SyncBatchNorm):
    """Batch norm over the batches of all devices of a process together (Peng et al. 2018).

    It is plain batch norm until ``synchronise_norms`` sets a number of devices above 1, which a
    training loop that runs a block on several devices must do.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(num_devices=1, **options)

    def hybrid_forward(
        self,
        F: Namespace,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
    ) -> Tensor:
        """Returns the normalised maps (B, C, H, W), of the shape of x."""
        inputs = (x, gamma, beta, running_mean, running_var)
        if self._kwargs["ndev"] > 1:
            return super().hybrid_forward(F, *inputs)
        # BatchNorm gives the same numbers as the synchronised operator, several times as fast.
        alone = {name: self._kwargs[name] for name in ("eps", "momentum", "use_global_stats")}
        return F.BatchNorm(*inputs, fix_gamma=False, **alone)


def synchronise_norms(block: Block, devices: int) -> None:
    """Sets how many devices run each SyncBatchNorm in ``block``; call it before the first pass."""

    def visit(child: Block) -> None:
        if isinstance(child, SyncBatchNorm):
            child._kwargs["ndev"] = devices

    block.apply(visit)


def freeze_norms(block: Block) -> None:
    """Freezes the statistics, scale and shift of every batch norm in ``block``."""
    freeze_statistics(block)

    def visit(child: Block) -> None:
        if isinstance(child, nn.BatchNorm):
            child.collect_params().setattr("grad_req", "null")

    block.apply(visit)


def freeze_statistics(block: Block) -> None:
    """Freezes the means and variances of every batch norm in ``block``; the rest still learns."""

    def visit(child: Block) -> None:
        if isinstance(child, nn.BatchNorm):
            child._kwargs["use_global_stats"] = True

    block.apply(visit)


def freeze(block: Block) -> None:
    """Freezes all parameters of ``block`` and the statistics of its batch norms."""
    block.collect_params().setattr("grad_req", "null")
    freeze_norms(block)


class FoldingSequential(nn.HybridSequential):
    """A sequence of layers in which a frozen batch norm costs nothing.

    A BatchNorm with use_global_stats multiplies and shifts each channel by numbers that do not
    depend on the batch. After a convolution, the two are one convolution, whose kernel and bias are
    computed in the graph. MXNet's CPU kernel for such a norm takes longer than the network around
    it. The output and every gradient are those of the separate layers, scale and shift can still
    learn, and all names stay the same.
    """

    def hybrid_forward(self, F: Namespace, x: Tensor) -> Tensor:
        """Returns the output of the last layer."""
        return run_folding(F, x, self)


class SplitDeconv(nn.Conv2DTranspose):
    """A deconvolution of kernel 2 and stride 2: (N, C, H, W) -> (4 N, C', H, W).

    Its windows do not overlap: each cell makes 2x2 cells of its own. That is a 1x1 convolution,
    which a CPU computes faster and can compute with fewer bits. The four maps of an image, of the
    upper left, upper right, lower left and lower right cells, stay separate, because 1x1 layers
    after it treat every cell alike; ``joined`` puts the output of the last layer together. The
    weights have the names and shapes of a deconvolution.
    """

    def __init__(self, channels: int, in_channels: int, **options: Any) -> None:
        super().__init__(channels, 2, strides=2, in_channels=in_channels, **options)

    def hybrid_forward(self, F: Namespace, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Returns the four maps (4 N, C', H, W), after the activation if there is one."""
        filters = 4 * self._channels
        kernel = F.reshape(F.transpose(weight, axes=(2, 3, 1, 0)), shape=(filters, -1, 1, 1))
        shift = F.tile(bias, reps=(4,))
        x = F.Convolution(x, kernel, shift, kernel=(1, 1), num_filter=filters, name="fwd")
        x = x if self.act is None else self.act(x)
        return F.reshape(x, shape=(-1, self._channels, 0, 0))


def joined(F: Namespace, maps: Tensor) -> Tensor:
    """Returns one map (N, 1, 2 H, 2 W) for each four of a SplitDeconv, (4 N, 1, H, W)."""
    return F.depth_to_space(F.reshape(maps, shape=(-1, 4, 0, 0)), block_size=2)


def conv_relu(
    before: int,
    width: int,
    norm: Optional[str] = None,
    weights: init.Initializer = HE_FAN_IN,
) -> FoldingSequential:
    """Returns a 3x3 convolution and a ReLU: (B, before, H, W) -> (B, width, H, W).

    norm: one of NORMS between the two; the convolution then has no bias.
    weights: the initialiser of the kernel.
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


def run_folding(F: Namespace, x: Tensor, layers: Iterable[HybridBlock]) -> Tensor:
    """Returns the output of ``layers``, one after another, for x; see FoldingSequential."""
    waiting = list(layers)
    while waiting:
        layer = waiting.pop(0)
        if isinstance(layer, nn.Conv2D) and waiting and isinstance(waiting[0], nn.BatchNorm):
            x = conv_norm(F, x, layer, waiting.pop(0))
        else:
            x = layer(x)
    return x


def conv_norm(F: Namespace, x: Tensor, conv: nn.Conv2D, norm: HybridBlock) -> Tensor:
    """Returns norm(conv(x)), computed as one convolution if ``norm`` is a frozen batch norm."""
    frozen = isinstance(norm, nn.BatchNorm) and norm._kwargs["use_global_stats"]
    return _folded(F, x, conv, norm) if frozen else norm(conv(x))


def _folded(F: Namespace, x: Tensor, conv: nn.Conv2D, norm: nn.BatchNorm) -> Tensor:
    """Returns norm(conv(x)) of a frozen batch norm as one convolution."""

    def value(parameter: Parameter) -> Tensor:
        return parameter.data(x.context) if hasattr(x, "context") else parameter.var()

    deviation = F.sqrt(value(norm.running_var) + norm._kwargs["eps"])
    scale = value(norm.gamma) / deviation
    # The gradient of broadcast_mul takes ten times as long as that of a product of equal shapes.
    weight = value(conv.weight)
    kernel = weight * F.broadcast_like(F.reshape(scale, shape=(-1, 1, 1, 1)), weight)
    mean = value(norm.running_mean)
    if conv.bias is not None:
        mean = mean - value(conv.bias)
    shift = value(norm.beta) - mean * scale
    return F.Convolution(x, kernel, shift, **{**conv._kwargs, "no_bias": False})


def maps_of_strides(out_strides: Sequence[int], strides: Sequence[int]) -> List[int]:
    """Returns the indices of the maps that a backbone's ``out_strides`` asks for, finest first.

    strides: the strides of all maps that the backbone can return, finest first. If several maps
        have one stride, as in a dilated ResNet, that stride means the last of them; written twice,
        it means the last two.

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
