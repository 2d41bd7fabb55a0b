"""The first block of a detector: raw pixels -> the input that the backbone was trained on."""

from typing import Sequence

import mxnet as mx
from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.typing import Namespace, Tensor

# ImageNet's mean and standard deviation, which torchvision's weights expect.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


class Normalize(HybridBlock):
    """(pixels - mean) / std per channel; the padding becomes zero, whatever it held.

    mean, std: one number per channel in 0..255, in the order of the network's channels.
    order: that order, "RGB", or "BGR" for weights from Caffe itself.
    """

    def __init__(
        self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD, order: str = "RGB"
    ) -> None:
        super().__init__()
        if len(mean) != 3:
            raise ValueError(f"mean: expected three numbers, found {list(mean)}")
        if len(std) != 3 or min(std) <= 0:
            raise ValueError(f"std: expected three numbers above 0, found {list(std)}")
        if order not in ("RGB", "BGR"):
            raise ValueError(f"order: expected 'RGB' or 'BGR', found {order!r}")
        self.mean_std_order = (tuple(mean), tuple(std), order)
        with self.name_scope():
            self.mean = self.params.get_constant("mean", mx.nd.array(mean).reshape((1, 3, 1, 1)))
            self.std = self.params.get_constant("std", mx.nd.array(std).reshape((1, 3, 1, 1)))

    def hybrid_forward(
        self, F: Namespace, images: Tensor, sizes: Tensor, mean: Tensor, std: Tensor
    ) -> Tensor:
        """Returns the input (B, 3, H, W) of images (B, 3, H, W) RGB 0..255; sizes (B, 2) h, w."""
        if self.mean_std_order[2] == "BGR":
            images = F.reverse(images, axis=1)
        pixels = F.broadcast_div(F.broadcast_sub(images, mean), std)
        inside = F.broadcast_like(ops.valid_area(F, images, sizes), pixels)
        return F.where(inside, pixels, F.zeros_like(pixels))
