"""VGG (Simonyan and Zisserman 2014), up to the last convolution, as Faster R-CNN uses it."""

from typing import List, Optional, Sequence

from mxnet.gluon import HybridBlock, nn
from mxnet.gluon.contrib.nn import Identity

from detkit.models.layers import HE_FAN_OUT, Conv2D, FoldingSequential, MaxPool2x2, run_folding
from detkit.models.levels import maps_of_strides
from detkit.models.norms import Norm, freeze, norm_layer
from detkit.registry import BACKBONES
from detkit.typing import Namespace, Tensor

# Convolutions of each stage; every stage but the first begins with a 2x2 max pooling.
STAGE_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
STAGE_WIDTHS = (64, 128, 256, 512, 512)


@BACKBONES.register()
class VGG(HybridBlock):
    """The convolutions of VGG: five stages with four poolings between them.

    depth: 11, 13, 16 or 19.
    norm: one of norms.NORMS after each convolution, see norm_layer. "BN", as in torchvision's
        vgg16_bn, makes training from scratch possible.
    frozen_stages: the number of stages, from the first on, whose weights and statistics are frozen.
    out_strides: the strides of the maps that are returned, of 1, 2, 4, 8 and 16, those of the five
        stages (conv1_2 to conv5_3 of depth 16). null returns the map of the last stage alone.
        Nothing is built beyond the last map.
    stride: the stride of the last stage: 16; 8 without the last pooling; 4 without the last two,
        for more cells on small objects. The stages after the last pooling then have one stride, and
        in ``out_strides`` it means the last of them (see maps_of_strides).

    New convolutions get He's initialisation (He et al. 2015). Children are numbered as in
    torchvision's ``features``, whatever the stride.
    """

    def __init__(
        self,
        depth: int = 16,
        norm: Optional[Norm] = None,
        frozen_stages: int = 2,
        out_strides: Optional[Sequence[int]] = None,
        stride: int = 16,
    ) -> None:
        super().__init__()
        _check(depth, frozen_stages, stride)
        strides = [min(2**number, stride) for number in range(len(STAGE_WIDTHS))]
        maps = maps_of_strides([stride] if out_strides is None else out_strides, strides)
        self.channels = tuple(STAGE_WIDTHS[number] for number in maps)
        self.strides = tuple(strides[number] for number in maps)
        self._outs = [number + 1 for number in maps]
        self._ends: List[int] = []  # of each stage, among the layers
        with self.name_scope():
            self.features = FoldingSequential(prefix="")
            for stage in range(1, self._outs[-1] + 1):
                layers = _stage(stage, STAGE_DEPTHS[depth][stage - 1], norm, stride)
                self.features.add(*layers)
                self._ends.append(len(self.features))
                if stage <= frozen_stages:
                    for layer in layers:
                        freeze(layer)

    def hybrid_forward(self, F: Namespace, images: Tensor) -> List[Tensor]:
        """Returns maps (B, C, H / stride, W / stride) of images (B, 3, H, W), finest first."""
        x, maps, layers = images, [], list(self.features)
        for stage, (start, end) in enumerate(zip([0, *self._ends], self._ends), 1):
            x = run_folding(F, x, layers[start:end])
            if stage in self._outs:
                maps.append(x)
        return maps


def _stage(stage: int, convs: int, norm: Optional[Norm], stride: int) -> List[HybridBlock]:
    """Returns the layers of a stage.

    An Identity replaces a pooling that the stride leaves out: all layers keep their numbers.
    """
    width, before = STAGE_WIDTHS[stage - 1], STAGE_WIDTHS[max(stage - 2, 0)]
    layers = []
    if stage > 1:
        layers.append(MaxPool2x2() if 2 ** (stage - 1) <= stride else Identity())
    for step in range(convs):
        in_channels = width if step else (before if stage > 1 else 3)
        layers.append(
            Conv2D(width, 3, padding=1, in_channels=in_channels, weight_initializer=HE_FAN_OUT)
        )
        if norm is not None:
            layers.append(norm_layer(norm, width))
        layers.append(nn.Activation("relu"))
    return layers


def _check(depth: int, frozen_stages: int, stride: int) -> None:
    if depth not in STAGE_DEPTHS:
        raise ValueError(f"depth: expected one of {sorted(STAGE_DEPTHS)}, found {depth}")
    if not 0 <= frozen_stages <= len(STAGE_WIDTHS):
        raise ValueError(f"frozen_stages: expected 0 to {len(STAGE_WIDTHS)}, found {frozen_stages}")
    if stride not in (4, 8, 16):
        raise ValueError(f"stride: expected 4, 8 or 16, found {stride}")
