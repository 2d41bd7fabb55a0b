"""The RoI head of C4 detectors: the last stage of a ResNet over each RoI."""

from typing import Dict, Tuple

from mxnet.gluon import HybridBlock

from detkit.models.backbones.residual import (
    BlockOptions,
    check_network,
    residual_stage,
    stage_channels,
)
from detkit.models.norms import Norm
from detkit.models.roi_heads.fc import FCHead
from detkit.naming import torch_name
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor


@HEADS.register()
class Res5Head(FCHead):
    """The stage C5 over the RoI's cells, their mean, then class logits and box deltas.

    This is the head of He et al. 2016, appendix A, of Detectron2's R50-C4 and of GluonCV's
    faster_rcnn_resnet50_v1b. The RoI is pooled from C4 alone, the map of a backbone ResNet with
    ``out_strides: [16]``, and has 14 x 14 cells.

    in_channels, in_size: derived from the RoI extractor; num_classes: from the dataset.
    stride: of the first block; 1 suits RoIs of half as many cells along a side.
    class_agnostic: whether there is one box per RoI instead of one for each class.
    depth, stride_in_1x1, groups, width_per_group, norm, norm_eps: those of the backbone, see
        ResNet.

    The key ``pretrained`` loads the layer4 of torchvision's file. The attributes ``trunk_channels``
    and ``trunk_size`` are C' and P' of what ``trunk`` returns, which a mask head can share.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        depth: int = 50,
        stride: int = 2,
        class_agnostic: bool = False,
        stride_in_1x1: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        norm: Norm = "FrozenBN",
        norm_eps: float = 1e-5,
    ) -> None:
        check_network(depth, stride_in_1x1, groups, width_per_group)
        _check(depth, stride, in_channels)
        super().__init__(
            stage_channels(depth, 5),
            1,
            num_classes,
            hidden=(),
            dropout=0.0,
            class_agnostic=class_agnostic,
        )
        how = BlockOptions(stride_in_1x1, groups, width_per_group, norm, norm_eps)
        with self.name_scope():
            self.layer4 = residual_stage(depth, 5, how, stride)
        self.trunk_channels = stage_channels(depth, 5)
        self.trunk_size = -(-in_size // stride)  # rounded up, as the padded convolutions do

    def pretrained_part(self) -> Tuple[HybridBlock, Dict[str, str]]:
        """Returns layer4, and {our name: name in torchvision's ResNet files}."""
        names = self.layer4._collect_params_with_prefix()
        return self.layer4, {name: f"layer4.{torch_name(name)}" for name in names}

    def hybrid_forward(self, F: Namespace, roi_features: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns class logits and deltas of roi_features (B * R, C, P, P), as FCHead does."""
        return self.predict(F, self.trunk(roi_features))

    def trunk(self, roi_features: Tensor) -> Tensor:
        """Returns C5 of each RoI, (B * R, C', P', P'), of roi_features (B * R, C, P, P)."""
        return self.layer4(roi_features)

    def predict(self, F: Namespace, cells: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns class logits and deltas of cells (B * R, C', P', P'), the output of ``trunk``."""
        return super().hybrid_forward(F, F.mean(cells, axis=(2, 3)))


def _check(depth: int, stride: int, in_channels: int) -> None:
    if stride not in (1, 2):
        raise ValueError(f"stride: expected 1 or 2, found {stride}")
    expected = stage_channels(depth, 4)
    if in_channels != expected:
        raise ValueError(
            f"in_channels: expected the {expected} channels of C4 at depth {depth}, found "
            f"{in_channels}; give the backbone the same depth, out_strides: [16], and no neck"
        )
