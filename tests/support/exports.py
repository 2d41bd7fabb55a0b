"""Small detectors of every kind, and what they find before and after they are exported."""

import json

import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.data import Resize
from detkit.detector import Detector
from detkit.errors import ExportError
from detkit.export.manifest import MANIFEST
from detkit.export.symbol import export
from detkit.files.disk import sha256_of
from detkit.models import (
    RPN,
    AnchorGrid,
    DensePostprocess,
    KeypointRCNN,
    MaskRCNN,
    MaskRCNNC4,
    RetinaHead,
    RetinaNet,
    RoIAlign,
)
from detkit.models.necks import FPN
from detkit.models.roi_heads import KeypointHead, MaskHead, Res5Head
from support import tiny
from support.cascades import cascade, mask_cascade
from support.small import SmallBackbone

NAMES = ("cat", "dog", "cow")
SIZES = (64, 80), (50, 96)


def _faster_rcnn(build):
    return build()


def _mask_rcnn(build):
    head = MaskHead(8, 4, num_classes=3, convs=1, channels=6, norm="BN")
    return build(kind=MaskRCNN, mask_extractor=RoIAlign([8], 8, size=4), mask_head=head)


def mask_rcnn_c4(build, **parts):
    """A MaskRCNNC4 with the C5 of a ResNet-18 over RoIs of 4x4 cells."""
    backbone = SmallBackbone(256)
    own = {
        "roi_extractor": RoIAlign(backbone.strides, backbone.channels[0], size=4),
        "roi_head": Res5Head(256, 4, num_classes=3, depth=18),
        "mask_head": MaskHead(512, 2, num_classes=3, convs=0, channels=6),
    }
    return build(kind=MaskRCNNC4, backbone=backbone, **{**own, **parts})


def _keypoint_rcnn(build):
    head = KeypointHead(8, 4, 3, num_keypoints=5, skeleton=[[0, 1], [4, 2]], convs=1, channels=6)
    extractor = RoIAlign([8], 8, size=4)
    return build(kind=KeypointRCNN, keypoint_extractor=extractor, keypoint_head=head)


def _rpn(build):
    return RPN(**{name: getattr(build(), name) for name in RPN.PARTS})


def _retina_net(build):
    neck = FPN([8], [8], channels=8, extra="p6p7")
    anchors = AnchorGrid(neck.strides, ([12, 16], [24, 32], [48, 64]), (0.5, 1, 2))
    return build(
        kind=RetinaNet,
        backbone=SmallBackbone(),
        neck=neck,
        anchors=anchors,
        head=RetinaHead(neck.channels, anchors.per_cell, 3, convs=2, channels=8),
        postprocess=DensePostprocess(0.2, max_detections=12),
    )


KINDS = {
    "FasterRCNN": _faster_rcnn,
    "MaskRCNN": _mask_rcnn,
    "MaskRCNNC4": mask_rcnn_c4,
    "KeypointRCNN": _keypoint_rcnn,
    "RPN": _rpn,
    "RetinaNet": _retina_net,
    "CascadeRCNN": lambda build: cascade(build()),
    "CascadeMaskRCNN": lambda build: mask_cascade(build()),
}


def detector_of(model, transforms=None, names=NAMES, **options):
    """A Detector of a network; images are resized to (40, 96) unless told otherwise."""
    names = names if model.TELLS_CLASSES else ("object",)
    transforms = [Resize(40, 96)] if transforms is None else transforms
    return Detector(model, names, transforms, mx.cpu(), pad_multiple=16, **options)


def exported(model, folder, ops="mxnet", precision=None, **options):
    """The Detector of a network, after it was exported into ``folder``."""
    detector = detector_of(model, **options)
    export(detector, str(folder), ops, precision=precision)
    return detector


def photos(*sizes, seed=0):
    """An (H, W, 3) uint8 image of each size (h, w)."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def assert_same(found, expected):
    """Lists of Detections agree: boxes to 0.01 pixels, scores and masks to 1e-4."""
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected):
        assert len(other.boxes) > 0
        assert one.class_names == other.class_names
        assert one.image_size == other.image_size
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.boxes, other.boxes, rtol=0, atol=0.01)
        np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=1e-4)
        assert (one.mask_probs is None) == (other.mask_probs is None)
        if one.mask_probs is not None:
            np.testing.assert_allclose(one.mask_probs, other.mask_probs, rtol=0, atol=1e-4)
        assert (one.keypoints is None) == (other.keypoints is None)
        if one.keypoints is not None:
            np.testing.assert_allclose(one.keypoints, other.keypoints, rtol=0, atol=0.01)
            assert list(map(list, one.skeleton)) == list(map(list, other.skeleton))


def export_tiny(finished, out, *options):
    """The exit status of tools/export.py on a finished run."""
    arguments = (finished / "configs/tiny.yaml", finished / "work/checkpoints/best", "--out", out)
    floor = ("--set", "model.postprocess.score_floor=0")
    return tiny.tool("export", *arguments, "--ops", "mxnet", *floor, *options)


def boxes_in(images, seed=0):
    """Some boxes (R, 4) in each image, 7 in the first, 12 in the second."""
    rng, found = np.random.default_rng(seed), []
    for count, image in zip((7, 12), images):
        height, width = image.shape[:2]
        corner = rng.uniform(0, [width / 2, height / 2], (count, 2))
        found.append(np.concatenate([corner, corner + rng.uniform(8, 30, (count, 2))], axis=1))
    return found


def refused(folder, *fragments, **options):
    """load_exported refuses a folder with a message that has the fragments."""
    with pytest.raises(ExportError) as caught:
        detkit.load_exported(folder, **options)
    for fragment in fragments:
        assert fragment in str(caught.value)


def rewrite(folder, without=(), **changes):
    """Change model.json."""
    path = folder / MANIFEST
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: content[key] for key in content if key not in without}))


def replace(folder, name, content, **changes):
    """Put another file into an export as if it had been exported."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / MANIFEST).read_text())["files"]
    rewrite(folder, files={**files, name: sha256_of(folder / name)}, **changes)
