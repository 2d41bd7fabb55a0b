"""Normalisation layers, and what it means to freeze them."""

from mxnet.gluon import HybridBlock, contrib, nn

NORMS = ("BN", "FrozenBN", "FrozenStatsBN", "SyncBN", "GN")
GROUPS = 32  # of channels, in GN


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
