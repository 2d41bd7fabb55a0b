"""A trained detector in use: images of any size in, Detections in their own pixels out."""

import os

import mxnet as mx
import numpy as np

from detkit.build import build_model, build_transforms, check_sections, pad_multiple_of
from detkit.config import Config, load_config
from detkit.data import Sample, apply, decode_image, make_batch, to_rgb_uint8
from detkit.detections import Detections
from detkit.device import find_device
from detkit.plugins import import_plugins
from detkit.runner.checkpoint import load_checkpoint, load_model_weights


def load(config, checkpoint, device="auto"):
    """The Detector of a config (a path, or what load_config returned) and a checkpoint folder.

    device: "auto" (a GPU where MXNet has one), "cpu" or "gpu". Neither the dataset nor the files
    of pretrained weights are needed. Raises ConfigError and CheckpointError.
    """
    if not isinstance(config, Config):
        config = load_config(config)
    check_sections(config)
    import_plugins(config)
    saved = load_checkpoint(checkpoint)
    ctx = find_device(device)
    model = build_model(config, saved.class_names, ctx, pretrained=False)
    load_model_weights(model, saved)
    transforms, pad_multiple = build_transforms(config, "val"), pad_multiple_of(config)
    return Detector(model, saved.class_names, transforms, ctx, pad_multiple)


class Detector:
    """Wraps a FasterRCNN block with what it needs to be used on images.

    model: the block, images (B, 3, H, W) and sizes (B, 2) -> boxes, scores, labels; of a MaskRCNN
        also the probabilities of masks.
    class_names: the names of the labels.
    transforms: what an image passes before the network (Resize, as a rule).
    ctx, pad_multiple: where the network lives; multiples the batch's sides are padded to.
    first_label: added to the network's labels; 1 where class_names begin with the background.
    """

    def __init__(self, model, class_names, transforms, ctx, pad_multiple, first_label=0):
        self.model = model
        self.class_names = tuple(class_names)
        self._transforms = transforms
        self._ctx = ctx
        self._pad_multiple = pad_multiple
        self._first_label = first_label

    def detect(self, images):
        """One Detections for each image, boxes in the image's own pixels.

        images: (H, W, 3) uint8 RGB arrays, or names of image files; grey, RGBA and 16-bit ones
        are converted. All go through the network as one batch. Raises ImageError.
        """
        if isinstance(images, (str, os.PathLike, np.ndarray)):
            raise TypeError("detect takes a list of images: write detect([image])")
        return self.detect_batch(self.batch(images)) if images else []

    def batch(self, images):
        """The Batch that the network gets for some images, which are as for ``detect``."""
        arrays = [
            decode_image(image)
            if isinstance(image, (str, os.PathLike))
            else to_rgb_uint8(image, f"images[{position}]")
            for position, image in enumerate(images)
        ]
        rng = np.random.default_rng(0)  # a transform may vary colours or sizes, but reproducibly
        samples = [apply(self._transforms, _unlabelled(array), rng) for array in arrays]
        return make_batch(samples, [array.shape[:2] for array in arrays], self._pad_multiple)

    def detect_batch(self, batch):
        """One Detections for each image of a Batch, boxes in pixels of the image on disk."""
        outputs = self.model(
            mx.nd.array(batch.images, ctx=self._ctx), mx.nd.array(batch.sizes, ctx=self._ctx)
        )
        rows = zip(batch.sizes, batch.scales, *(output.asnumpy() for output in outputs))
        return [self._detections(*row) for row in rows]

    def _detections(self, size, scale, boxes, scores, labels, mask_probs=None):
        found = scores >= 0
        height, width = np.rint(size / scale[::-1]).astype(int).tolist()
        return Detections(
            boxes=boxes[found] / np.tile(scale, 2),
            scores=scores[found],
            labels=labels[found].astype("int32") + self._first_label,
            class_names=self.class_names,
            mask_probs=None if mask_probs is None else mask_probs[found],
            image_size=None if mask_probs is None else (height, width),
        )


def _unlabelled(image):
    return Sample(
        image_id="",
        image=image,
        boxes=np.zeros((0, 4), "float32"),
        labels=np.zeros(0, "int32"),
        difficult=np.zeros(0, bool),
    )
