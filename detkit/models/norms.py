"""Norms by their names, two of which Gluon does not have, and what freezes them."""

from typing import Any, Mapping, Tuple, Union

from mxnet.gluon import Block, HybridBlock, contrib, nn

from detkit.typing import Namespace, Tensor

NORMS = ("BN", "FrozenBN", "FrozenStatsBN", "SyncBN", "GN", "IN")
GROUPS = 32  # of channels
Norm = Union[str, Mapping[str, Any]]  # one of NORMS, or {"type": "GN", "groups": 16}


class GroupNorm(HybridBlock):
    """Group norm with a scale and a shift for each channel (Wu and He 2018, section 3.1).

    The mean and the variance are those of C / groups channels of one image. Gluon's GroupNorm has
    one scale and one shift for a whole group instead. With a group for each channel, this is
    instance norm (Ulyanov et al. 2016).
    """

    def __init__(self, channels: int, eps: float = 1e-5, groups: int = GROUPS) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(
                f"norm: expected a multiple of {groups} channels for {groups} groups of GN, found "
                f"{channels}; set the groups by {{type: GN, groups: N}}"
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


NORM_LAYERS = (nn.BatchNorm, GroupNorm, SyncBatchNorm)


def norm_layer(norm: Norm, channels: int, eps: float = 1e-5, momentum: float = 0.9) -> HybridBlock:
    """Returns the normalisation layer for the argument ``norm`` of a part.

    norm: one of NORMS, or a mapping of its ``type`` and, for GN, the number of its ``groups``.

    BN: batch norm (Ioffe and Szegedy 2015).
    FrozenBN: batch norm whose statistics, scale and shift are those of a file and stay so.
    FrozenStatsBN: batch norm whose statistics stay those of a file; scale and shift still learn.
    SyncBN: batch norm over the batches of all devices, see SyncBatchNorm. A training of detkit runs
        on one device and refuses it.
    GN: group norm (Wu and He 2018), which does not depend on the batch; in 32 groups by default.
    IN: instance norm (Ulyanov et al. 2016), with a scale and a shift: GN in groups of one channel.

    eps: added to each variance. momentum: the weight of the running statistics in their update.

    Raises ValueError if there is no such norm, or if GN cannot divide the channels into groups.
    """
    kind, groups = _kind_and_groups(norm)
    if kind in ("GN", "IN"):
        return GroupNorm(channels, eps, groups if kind == "GN" else channels)
    batch_norm = SyncBatchNorm if kind == "SyncBN" else nn.BatchNorm
    layer = batch_norm(momentum=momentum, epsilon=eps, in_channels=channels)
    if kind == "FrozenBN":
        freeze_norms(layer)
    elif kind == "FrozenStatsBN":
        freeze_statistics(layer)
    return layer


def _kind_and_groups(norm: Norm) -> Tuple[str, int]:
    """Returns one of NORMS and the groups of a GN. Raises ValueError if ``norm`` names no norm."""
    given = {"type": norm} if isinstance(norm, str) else dict(norm)
    kind, groups = given.get("type"), given.get("groups", GROUPS)
    if kind not in NORMS:
        raise ValueError(f"norm: expected one of {', '.join(NORMS)}, found {kind!r}")
    if not set(given) <= {"type", "groups"} or ("groups" in given and kind != "GN"):
        raise ValueError(f"norm: expected a type, and groups for GN alone, found {given}")
    if type(groups) is not int or groups < 1:
        raise ValueError(f"norm: expected a whole number of groups from 1, found {groups!r}")
    return kind, groups


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


def synchronise_norms(block: Block, devices: int) -> None:
    """Sets how many devices run each SyncBatchNorm in ``block``; call it before the first pass."""

    def visit(child: Block) -> None:
        if isinstance(child, SyncBatchNorm):
            child._kwargs["ndev"] = devices

    block.apply(visit)
