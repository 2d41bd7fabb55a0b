"""A backbone over an image in several sizes (He et al. 2014), made within the graph."""

import math
from typing import Any, List, Optional, Sequence, Tuple

from mxnet.gluon import HybridBlock

from detkit.registry import BACKBONES
from detkit.typing import Namespace, Tensor


@BACKBONES.register()
class ImagePyramid(HybridBlock):
    """A backbone that is run on the image at several scales, always with the same weights.

    He et al. 2014 (section 4.1) choose a scale for each RoI; the extractor SPP does that. The
    images are resized bilinearly within the graph, so that an export takes one image as ever. Their
    sides are rounded down to whole pixels.

    backbone: a backbone of one map. Its stride at each scale is divided by the scale.
    scales: factors of the sides of the network's input, in any order. The default is the paper's
        short sides of 1200, 864, 688, 576 and 480 pixels, for an input of 1200.

    The maps come in the order of their strides, the largest scale first. The key ``pretrained`` is
    that of ``backbone``.
    """

    PARTS = {"backbone": BACKBONES}

    def __init__(
        self,
        backbone: HybridBlock,
        scales: Sequence[float] = (1.0, 0.72, 0.5733, 0.48, 0.4),
    ) -> None:
        super().__init__()
        numbers = all(0 < scale < math.inf for scale in scales)
        if not scales or not numbers or len(set(scales)) < len(scales):
            raise ValueError(
                f"scales: expected one or more different numbers above 0, found {list(scales)}"
            )
        strides: Any = getattr(backbone, "strides", ())
        if len(strides) != 1:
            raise ValueError(
                f"backbone: expected a backbone of one map, found the strides {list(strides)}; "
                "choose one of them by its out_strides"
            )
        self._scales = sorted(scales, reverse=True)
        self.channels = tuple(getattr(backbone, "channels", ())) * len(scales)
        self.strides = tuple(strides[0] / scale for scale in self._scales)
        with self.name_scope():
            self.backbone = backbone

    def pretrained_part(self) -> Tuple[HybridBlock, Optional[dict]]:
        """Returns the block that a file of the backbone's weights fills, and its names there."""
        own = getattr(self.backbone, "pretrained_part", None)
        return own() if own else (self.backbone, None)

    def hybrid_forward(self, F: Namespace, images: Tensor) -> List[Tensor]:
        """Returns a map (B, C, H * scale / stride, W * scale / stride) of each scale.

        images (B, 3, H, W).
        """
        maps = []
        for scale in self._scales:
            maps += self.backbone(_resized(F, images, scale))
        return maps


def _resized(F: Namespace, images: Tensor, scale: float) -> Tensor:
    """Returns images (B, 3, H * scale, W * scale), where a pixel's centre is at half a pixel."""
    if scale == 1:
        return images
    return F.contrib.BilinearResize2D(
        images, scale_height=scale, scale_width=scale, align_corners=False
    )
