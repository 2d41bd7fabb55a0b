"""All of the package: importing this registers the datasets and the transforms."""

# ruff: noqa: F401
from detkit.data.batch import group_by_aspect, make_batch
from detkit.data.coco import COCO
from detkit.data.images import check_image_file, decode_image, to_rgb_uint8
from detkit.data.loader import Loader
from detkit.data.one_class import OneClass
from detkit.data.proposals import check_proposals, load_proposals, with_proposals
from detkit.data.sample import Annotation, Batch, Dataset, Sample, Transform
from detkit.data.shapes import Shapes
from detkit.data.transforms import (
    HorizontalFlip,
    Photometric,
    Resize,
    VerticalFlip,
    apply,
)
from detkit.data.voc import VOC
