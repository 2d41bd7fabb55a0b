"""The region proposal network's head: features -> objectness and box deltas of every anchor."""

from typing import List, Tuple

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import Conv2D
from detkit.registry import HEADS
from detkit.typing import Namespace, PerLevel, Tensor


@HEADS.register()
class RPNHead(HybridBlock):
    """3x3 convolutions, then two 1x1 convolutions side by side (Ren et al. 2015, section 3.1).

    in_channels, num_anchors: derived from the backbone and the anchors.
    channels: the width of the 3x3 convolutions. convs: the number of them, 1 in the paper.
    objectness: "softmax" over two outputs per anchor, background and object, as in the paper, or
        "sigmoid" of one, as in torchvision and Detectron2.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        channels: int = 512,
        objectness: str = "softmax",
        convs: int = 1,
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels: expected at least 1, found {channels}")
        if convs < 1:
            raise ValueError(f"convs: expected at least 1, found {convs}")
        if objectness not in ("softmax", "sigmoid"):
            raise ValueError(f"objectness: expected 'softmax' or 'sigmoid', found {objectness!r}")
        self._softmax = objectness == "softmax"
        normal = {"weight_initializer": init.Normal(0.01), "bias_initializer": "zeros"}
        with self.name_scope():
            self.conv = nn.HybridSequential(prefix="conv_")
            with self.conv.name_scope():
                for before in [in_channels] + [channels] * (convs - 1):
                    self.conv.add(
                        Conv2D(
                            channels, 3, padding=1, activation="relu", in_channels=before, **normal
                        )
                    )
            outputs = num_anchors * (2 if self._softmax else 1)
            self.objectness = Conv2D(outputs, 1, in_channels=channels, **normal)
            self.deltas = Conv2D(num_anchors * 4, 1, in_channels=channels, **normal)

    def hybrid_forward(self, F: Namespace, features: PerLevel) -> Tuple[List[Tensor], List[Tensor]]:
        """Returns objectness logits (B, N) and deltas (B, N, 4), each as a list of all levels.

        The N rows of a level are in the order of its anchors. The sigmoid of a logit is the
        probability of an object in both forms, because a softmax over (background, object) is the
        sigmoid of their difference.

        features: maps (B, C, H, W), which share the convolutions.
        """
        objectness, deltas = zip(*(self._level(F, maps) for maps in features))
        return list(objectness), list(deltas)

    def _level(self, F: Namespace, maps: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns logits (B, N) and deltas (B, N, 4) of one level, maps (B, C, H, W)."""
        hidden = self.conv(maps)
        logits = F.reshape(F.transpose(self.objectness(hidden), axes=(0, 2, 3, 1)), shape=(0, -1))
        if self._softmax:
            pairs = F.reshape(logits, shape=(0, -1, 2))
            background, foreground = F.split(pairs, num_outputs=2, axis=2, squeeze_axis=True)
            logits = foreground - background
        deltas = F.transpose(self.deltas(hidden), axes=(0, 2, 3, 1))
        return logits, F.reshape(deltas, shape=(0, -1, 4))
