"""C4's RoI head: the last stage of a ResNet over each RoI."""

from detkit.models.backbones.residual import check_network, residual_stage, stage_channels
from detkit.models.roi_heads.fc import FCHead
from detkit.naming import torch_name
from detkit.registry import HEADS


@HEADS.register()
class Res5Head(FCHead):
    """C5 over the RoI's cells, their mean, then class logits and box deltas side by side.

    He et al. 2016, appendix A; Detectron2's R50-C4 and GluonCV's faster_rcnn_resnet50_v1b. The RoI
    comes from C4 alone, a backbone ResNet with ``out_strides: [16]``, and has 14 x 14 cells.

    in_channels, in_size: derived from the RoI extractor; num_classes: from the dataset.
    stride: of the first block; 1 is for a RoI of half as many cells.
    class_agnostic: one box per RoI instead of one for each class.
    depth, stride_in_1x1, groups, width_per_group, norm, norm_eps: the backbone's, see ResNet.

    ``pretrained`` puts the layer4 of torchvision's file in.
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
        norm: str = "FrozenBN",
        norm_eps: float = 1e-5,
    ):
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
        inner = {"stride_in_1x1": stride_in_1x1, "groups": groups}
        inner.update(width_per_group=width_per_group, norm=norm, norm_eps=norm_eps)
        with self.name_scope():
            self.layer4 = residual_stage(depth, 5, stride, **inner)

    def pretrained_part(self):
        """layer4, and our names -> theirs in torchvision's ResNet files."""
        names = self.layer4._collect_params_with_prefix()
        return self.layer4, {name: f"layer4.{torch_name(name)}" for name in names}

    def hybrid_forward(self, F, roi_features):
        """As FCHead: (B * R, C, P, P) -> class logits (B * R, 1 + K), deltas (B * R, K or 1, 4)."""
        return super().hybrid_forward(F, F.mean(self.layer4(roi_features), axis=(2, 3)))


def _check(depth, stride, in_channels):
    if stride not in (1, 2):
        raise ValueError(f"stride is 1 or 2, not {stride}")
    expected = stage_channels(depth, 4)
    if in_channels != expected:
        raise ValueError(
            f"Res5Head of depth {depth} goes on from C4, {expected} channels, and the RoIs have "
            f"{in_channels}: give the backbone the same depth, out_strides: [16], and no neck"
        )
