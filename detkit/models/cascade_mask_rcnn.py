"""Cascade R-CNN with masks: those of the last boxes, by one head."""

from detkit.models.cascade_rcnn import CascadeRCNN
from detkit.models.mask_rcnn import MaskRCNN
from detkit.registry import DETECTORS, HEADS, ROI_EXTRACTORS


@DETECTORS.register()
class CascadeMaskRCNN(CascadeRCNN, MaskRCNN):
    """The boxes are CascadeRCNN's, their masks MaskRCNN's, as in Detectron2.

    (mmdetection has a mask head for each stage.)
    """

    PARTS = {**CascadeRCNN.PARTS, "mask_extractor": ROI_EXTRACTORS, "mask_head": HEADS}
