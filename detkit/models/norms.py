"""Norms that Gluon does not have: group norm by channel, and batch norm across devices."""

from typing import Any

from mxnet.gluon import Block, HybridBlock, contrib

from detkit.typing import Namespace, Tensor

GROUPS = 32  # of channels


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
