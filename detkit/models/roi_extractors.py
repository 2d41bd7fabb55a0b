"""RoI extractors: the features under each proposal, resampled to P x P cells."""

from mxnet.gluon import HybridBlock

from detkit import ops
from detkit.registry import ROI_EXTRACTORS


@ROI_EXTRACTORS.register()
class RoIPool(HybridBlock):
    """The maximum over each of size x size cells, edges rounded (Girshick 2015, section 2.1).

    stride, channels: derived from the backbone.
    """

    def __init__(self, stride: int, channels: int, size: int = 7):
        super().__init__()
        _check_size(size)
        self._stride, self.size, self.channels = stride, size, channels

    def hybrid_forward(self, F, features, rois):
        """features (B, C, H, W), rois (B, R, 4) image pixels -> (B * R, C, size, size)."""
        return ops.roi_pool(F, features, rois, self.size, self._stride)


@ROI_EXTRACTORS.register()
class RoIAlign(HybridBlock):
    """The mean of bilinear samples in each of size x size cells (He et al. 2017, section 3).

    stride, channels: derived from the backbone.
    sampling: points per cell and axis; 0 takes as many as cover the RoI.
    aligned: shift by half a pixel (Detectron2's ROIAlignV2); torchvision's detectors do not.
    """

    def __init__(
        self, stride: int, channels: int, size: int = 7, sampling: int = 2, aligned: bool = True
    ):
        super().__init__()
        _check_size(size)
        self._stride, self.size, self.channels = stride, size, channels
        self._sampling, self._aligned = sampling, aligned

    def hybrid_forward(self, F, features, rois):
        """features (B, C, H, W), rois (B, R, 4) image pixels -> (B * R, C, size, size)."""
        return ops.roi_align(
            F, features, rois, self.size, self._stride, self._sampling, self._aligned
        )


def _check_size(size):
    if size < 1:
        raise ValueError(f"size is at least 1, not {size}")
