"""A trained detector in use: images of any size in, Detections in their own pixels out."""

import mxnet as mx
import numpy as np

from detkit.data import add_proposals, apply, make_batch
from detkit.data.images import is_one_image, read_images
from detkit.data.sample import unlabelled
from detkit.detections import detections_of


class Detector:
    """Wraps a Network with what it needs to be used on images.

    model: the block, images (B, 3, H, W), sizes (B, 2) and, of a FastRCNN, proposals -> boxes,
        scores, labels; of a MaskRCNN also the probabilities of masks.
    class_names: the names of the labels.
    transforms: what an image passes before the network (Resize, as a rule).
    ctx, pad_multiple: where the network lives; multiples the batch's sides are padded to.
    first_label: added to the network's labels; 1 where class_names begin with the background.
    config: what it was built from, where it was.
    """

    def __init__(
        self, model, class_names, transforms, ctx, pad_multiple, first_label=0, config=None
    ):
        self.model = model
        self.class_names = tuple(class_names)
        self.config = config
        self.transforms = transforms
        self._ctx = ctx
        self.pad_multiple = pad_multiple
        self.first_label = first_label

    @property
    def foreground_names(self):
        """``class_names`` of the network's own labels, without a background."""
        return self.class_names[self.first_label :]

    @property
    def takes_proposals(self):
        """Whether ``detect`` is given boxes to look at, as of a FastRCNN."""
        return "proposals" in self.model.INPUTS

    @property
    def name(self):
        """What messages call the network: "a FastRCNN"."""
        return f"a {type(self.model).__name__}"

    def detect(self, images, proposals=None):
        """The Detections of one image, boxes in its own pixels, or a list of them for several.

        images: an (H, W, 3) uint8 RGB array or the name of an image file; grey, RGBA and 16-bit
            images are converted. Several: a list or tuple of such, of any sizes, or one array
            (B, H, W, 3). They go through the network as one batch.
        proposals: for a FastRCNN, boxes (R, 4) in pixels of the image, or of each of several.

        Raises ImageError; DataError for proposals that are missing, too many or no boxes.
        """
        if is_one_image(images):
            return self.detect([images], None if proposals is None else [proposals])[0]
        images = list(images)
        return self.detect_batch(self.batch(images, proposals)) if images else []

    def batch(self, images, proposals=None):
        """The Batch that the network gets for some images, a list; the rest as for ``detect``."""
        arrays = read_images(images)
        rng = np.random.default_rng(0)  # a transform may vary colours or sizes, but reproducibly
        samples = [unlabelled(array) for array in arrays]
        samples = add_proposals(samples, proposals, self.takes_proposals, self.name)
        samples = [apply(self.transforms, sample, rng) for sample in samples]
        return make_batch(samples, [array.shape[:2] for array in arrays], self.pad_multiple)

    def detect_batch(self, batch):
        """One Detections for each image of a Batch, boxes in pixels of the image on disk."""
        inputs = (getattr(batch, name) for name in self.model.INPUTS)
        outputs = self.model(*(mx.nd.array(array, ctx=self._ctx) for array in inputs))
        arrays = [output.asnumpy() for output in outputs]
        return detections_of(batch, arrays, self.class_names, self.first_label)
