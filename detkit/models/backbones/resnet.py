"""ResNet (He et al. 2016) and ResNeXt (Xie et al. 2017), with the maps C2 to C5."""

from typing import List, Sequence

from mxnet.gluon import HybridBlock

from detkit.models.backbones.residual import (
    STEM_WIDTH,
    BlockOptions,
    check_network,
    conv,
    residual_stage,
    stage_channels,
)
from detkit.models.layers import conv_norm
from detkit.models.levels import maps_of_strides
from detkit.models.norms import Norm, freeze, norm_layer
from detkit.registry import BACKBONES
from detkit.typing import Namespace, Tensor

STAGES = 5  # the stem is C1, layer1 to layer4 are C2 to C5


@BACKBONES.register()
class ResNet(HybridBlock):
    """A ResNet without its classifier, up to the last map that is asked for.

    depth: 18, 34, 50, 101 or 152.
    stride_in_1x1: whether a stage halves the resolution in the first 1x1 convolution of its first
        block, as in the paper and in the weights of Caffe and Detectron (v1), instead of in the 3x3
        one, as in torchvision (v1b). It applies to depth 50 and above.
    groups, width_per_group: with 32 and 4, depth 50 is ResNeXt-50 32x4d; with 32 and 8, depth 101
        is ResNeXt-101 32x8d.
    out_strides: the strides of the maps that are returned, of 4, 8, 16 and 32, those of C2 to C5.
        Faster R-CNN without a neck uses 16 alone, C4 (He et al. 2016, appendix A); FPN uses
        (4, 8, 16, 32).
    dilated_c5: whether C5 keeps the stride of C4, 16, with kernels that reach as far as before.
        There is no map of stride 32 then: 16 alone is C5, 16 twice is C4 and C5 (see
        maps_of_strides).
    frozen_stages: the number of stages, from the stem on, whose weights and statistics are frozen.
    norm: one of norms.NORMS, see norm_layer. norm_eps: added to the variances.

    Children have torchvision's names.
    """

    def __init__(
        self,
        depth: int = 50,
        stride_in_1x1: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        out_strides: Sequence[int] = (16,),
        dilated_c5: bool = False,
        frozen_stages: int = 2,
        norm: Norm = "FrozenBN",
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        check_network(depth, stride_in_1x1, groups, width_per_group)
        if not 0 <= frozen_stages <= STAGES:
            raise ValueError(f"frozen_stages: expected 0 to {STAGES}, found {frozen_stages}")
        strides = (4, 8, 16, 16 if dilated_c5 else 32)  # of C2 to C5
        maps = maps_of_strides(out_strides, strides)
        self._out_stages = [number + 2 for number in maps]
        how = BlockOptions(stride_in_1x1, groups, width_per_group, norm, norm_eps)
        with self.name_scope():
            self.conv1 = conv(3, STEM_WIDTH, 7, stride=2)
            self.bn1 = norm_layer(norm, STEM_WIDTH, norm_eps)
            for stage in range(2, self._out_stages[-1] + 1):
                dilated = dilated_c5 and stage == STAGES
                stride = 1 if stage == 2 or dilated else 2
                layer = residual_stage(depth, stage, how, stride, dilated)
                setattr(self, f"layer{stage - 1}", layer)
        for part in list(self._children.values())[: frozen_stages and frozen_stages + 1]:
            freeze(part)  # the stem is two of them
        self.channels = tuple(stage_channels(depth, stage) for stage in self._out_stages)
        self.strides = tuple(strides[number] for number in maps)

    def hybrid_forward(self, F: Namespace, images: Tensor) -> List[Tensor]:
        """Returns maps (B, C, H / stride, W / stride) of images (B, 3, H, W), finest first."""
        x = conv_norm(F, images, self.conv1, self.bn1, rectified=True)
        x = F.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
        maps = []
        for stage in range(2, self._out_stages[-1] + 1):
            x = getattr(self, f"layer{stage - 1}")(x)
            if stage in self._out_stages:
                maps.append(x)
        return maps
