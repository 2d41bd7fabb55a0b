"""RetinaNet's head: features -> class logits and box deltas of every anchor."""

import math
from typing import List, Optional, Tuple

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit.models.blocks import conv_relu
from detkit.models.layers import Conv2D
from detkit.models.norms import Norm
from detkit.registry import HEADS
from detkit.typing import Namespace, PerLevel, Tensor


@HEADS.register()
class RetinaHead(HybridBlock):
    """Two towers of 3x3 convolutions, one for the classes, one for the boxes.

    This is the head of Lin et al. 2017b, section 4. The background has no logit: an anchor on it
    belongs to no class.

    in_channels, num_anchors, num_classes: derived from the neck, the anchors and the dataset.
    convs, channels: the number of convolutions of each tower before its last, and their width.
    norm: one of norms.NORMS after each of them; they then have no bias.
    prior: in (0, 1), the probability that an untrained network gives each class. A small one keeps
        the loss of the many background anchors from dominating at first (section 4.1).
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_classes: int,
        convs: int = 4,
        channels: int = 256,
        norm: Optional[Norm] = None,
        prior: float = 0.01,
    ) -> None:
        super().__init__()
        if convs < 0:
            raise ValueError(f"convs: expected at least 0, found {convs}")
        if channels < 1:
            raise ValueError(f"channels: expected at least 1, found {channels}")
        if not 0 < prior < 1:
            raise ValueError(f"prior: expected a number in (0, 1), found {prior}")
        self._num_classes = num_classes
        normal = init.Normal(0.01)
        before = [in_channels] + [channels] * convs
        with self.name_scope():
            for tower in ("class_convs", "box_convs"):
                layers = nn.HybridSequential(prefix=f"{tower}_")
                with layers.name_scope():
                    layers.add(*(conv_relu(c, channels, norm, normal) for c in before[:-1]))
                setattr(self, tower, layers)
            last = {"padding": 1, "in_channels": before[-1], "weight_initializer": normal}
            odds = init.Constant(math.log(prior / (1 - prior)))
            self.classes = Conv2D(num_anchors * num_classes, 3, bias_initializer=odds, **last)
            self.deltas = Conv2D(num_anchors * 4, 3, **last)

    def hybrid_forward(self, F: Namespace, features: PerLevel) -> Tuple[List[Tensor], List[Tensor]]:
        """Returns class logits (B, N, K) and deltas (B, N, 4), each as a list of all levels.

        The N rows of a level are in the order of its anchors.

        features: maps (B, C, H, W), which share the towers.
        """
        towers = (
            (self.class_convs, self.classes, self._num_classes),
            (self.box_convs, self.deltas, 4),
        )
        logits, deltas = (
            [_rows(F, last(convs(maps)), width) for maps in features]
            for convs, last, width in towers
        )
        return logits, deltas


def _rows(F: Namespace, maps: Tensor, width: int) -> Tensor:
    """Returns rows (B, N, width), N = H W A, of maps (B, A * width, H, W)."""
    return F.reshape(F.transpose(maps, axes=(0, 2, 3, 1)), shape=(0, -1, width))
