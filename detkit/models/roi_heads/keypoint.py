"""The keypoint head: features of a RoI -> a heatmap of each keypoint of the object in it."""

from typing import Optional, Sequence

from mxnet.gluon import HybridBlock, nn

from detkit.keypoints import MOST_KEYPOINTS, PERSON_SIGMAS, PERSON_SKELETON
from detkit.models.blocks import conv_relu
from detkit.models.layers import HE_FAN_OUT
from detkit.models.norms import Norm
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor

PERSON = len(PERSON_SIGMAS)


@HEADS.register()
class KeypointHead(HybridBlock):
    """3x3 convolutions, a deconvolution that doubles the side, and a bilinear doubling.

    This is the head of He et al. 2017, section 5, with the layers and the initialisation of
    torchvision and Detectron2.

    in_channels, in_size: derived from the keypoints' RoI extractor. num_classes: not used, because
        the keypoints of all classes are the same.
    num_keypoints: J of the dataset; by default that of COCO's persons.
    skeleton: pairs of keypoints that a drawing connects; null means COCO's, if there are 17.
    convs: the number of 3x3 convolutions. channels: their width.
    norm: one of norms.NORMS after each 3x3 convolution; these then have no bias.

    The attribute ``size`` is M, the cells along a side of a heatmap.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        num_keypoints: int = PERSON,
        skeleton: Optional[Sequence[Sequence[int]]] = None,
        convs: int = 8,
        channels: int = 512,
        norm: Optional[Norm] = None,
    ) -> None:
        super().__init__()
        if not 1 <= num_keypoints <= MOST_KEYPOINTS:
            raise ValueError(
                f"num_keypoints: expected 1 to {MOST_KEYPOINTS}, found {num_keypoints}"
            )
        if convs < 0:
            raise ValueError(f"convs: expected at least 0, found {convs}")
        if channels < 1:
            raise ValueError(f"channels: expected at least 1, found {channels}")
        self.size = 4 * in_size
        self.num_keypoints = num_keypoints
        self.skeleton = _checked(skeleton, num_keypoints)
        with self.name_scope():
            self.convs = nn.HybridSequential(prefix="convs_")
            with self.convs.name_scope():
                for _ in range(convs):
                    self.convs.add(conv_relu(in_channels, channels, norm, HE_FAN_OUT))
                    in_channels = channels
            self.heatmaps = nn.Conv2DTranspose(
                num_keypoints,
                4,
                strides=2,
                padding=1,
                in_channels=in_channels,
                weight_initializer=HE_FAN_OUT,
            )

    def hybrid_forward(self, F: Namespace, roi_features: Tensor) -> Tensor:
        """Returns the logits (B * R, J, M, M) of heatmaps; M is 4 P.

        roi_features (B * R, C, P, P).
        """
        heatmaps = self.heatmaps(self.convs(roi_features))
        return doubled(F, doubled(F, heatmaps, axis=2), axis=3)


def doubled(F: Namespace, maps: Tensor, axis: int) -> Tensor:
    """Returns maps (N, J, H, W) whose axis 2 or 3 has twice the length, by linear interpolation.

    Samples lie in the middle of their cells, and those beyond the border are equal to the outermost
    ones (align_corners=False in torch).
    """
    first = F.slice_axis(maps, axis=axis, begin=0, end=1)
    last = F.slice_axis(maps, axis=axis, begin=-1, end=None)
    before = F.concat(first, F.slice_axis(maps, axis=axis, begin=0, end=-1), dim=axis)
    after = F.concat(F.slice_axis(maps, axis=axis, begin=1, end=None), last, dim=axis)
    pair = F.stack(0.75 * maps + 0.25 * before, 0.75 * maps + 0.25 * after, axis=axis + 1)
    return F.reshape(pair, shape=(0, 0, -3, 0) if axis == 2 else (0, 0, 0, -3))


def _checked(
    skeleton: Optional[Sequence[Sequence[int]]], num_keypoints: int
) -> Sequence[Sequence[int]]:
    """Returns the pairs of a skeleton, or raises ValueError."""
    if skeleton is None:
        return PERSON_SKELETON if num_keypoints == PERSON else ()
    if not all(len(set(limb)) == 2 and set(limb) <= set(range(num_keypoints)) for limb in skeleton):
        raise ValueError(
            f"skeleton: expected pairs of different numbers from 0 to {num_keypoints - 1}, found "
            f"{[list(limb) for limb in skeleton]}"
        )
    return tuple((first, second) for first, second in skeleton)
