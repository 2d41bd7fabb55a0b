"""A trained detector: images of any size in, Detections in their own pixels out."""

import os
from typing import Any, List, Optional, Sequence, Union, overload

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from detkit.config import Config
from detkit.data import add_proposals, apply, make_batch
from detkit.data.detect_images import detect_images
from detkit.data.given_images import read_images
from detkit.data.images import MAX_PIXELS
from detkit.data.sample import Batch, Transforms, unlabelled
from detkit.data.tiling import Tiling
from detkit.detections import Detections, detections_of
from detkit.threshold import Threshold
from detkit.typing import Context


class Detector:
    """A network with its class names and its transforms, ready for images.

    model: the network, images (B, 3, H, W), sizes (B, 2) and, for a FastRCNN, proposals -> boxes,
        scores, labels; a MaskRCNN also returns the probabilities of masks, and a KeypointRCNN
        heatmaps of keypoints.
    class_names: the names of the labels.
    transforms: the transforms of an image before the network, usually Resize alone.
    ctx: the device of the network.
    pad_multiple: the number that divides the sides of every batch, in pixels.
    first_label: the number that is added to the network's labels; 1 if class_names begin with the
        background.
    config: the config that the detector was built from, or None.
    max_pixels: the largest number of pixels of an image file that is decoded.
    threshold: see the property.
    """

    def __init__(
        self,
        model: HybridBlock,
        class_names: Sequence[str],
        transforms: Transforms,
        ctx: Context,
        pad_multiple: int,
        first_label: int = 0,
        config: Optional[Config] = None,
        max_pixels: int = MAX_PIXELS,
        threshold: Optional[Threshold] = None,
    ):
        self.model = model
        self.class_names = tuple(class_names)
        self.config = config
        self.transforms = transforms
        self.ctx = ctx
        self.pad_multiple = pad_multiple
        self.first_label = first_label
        self.max_pixels = max_pixels
        self._threshold = threshold

    @property
    def threshold(self) -> Optional[Threshold]:
        """The least scores of what ``detect`` returns by default; None returns everything.

        ``detkit test --threshold`` chooses it and writes it into the checkpoint.
        """
        return self._threshold

    @property
    def foreground_names(self) -> Sequence[str]:
        """The ``class_names`` of the network's own labels, without a background."""
        return self.class_names[self.first_label :]

    @property
    def skeleton(self) -> Sequence[Sequence[int]]:
        """The pairs of keypoints that a drawing connects; empty without a keypoint head."""
        return getattr(getattr(self.model, "keypoint_head", None), "skeleton", ())

    @property
    def takes_proposals(self) -> bool:
        """Whether ``detect`` needs proposals, as with a FastRCNN."""
        return "proposals" in self.model.INPUTS

    @property
    def name(self) -> str:
        """The network's name in messages: "a FastRCNN"."""
        return f"a {type(self.model).__name__}"

    @overload
    def detect(
        self,
        images: Union[str, os.PathLike, bytes],
        proposals: Any = None,
        *,
        score: Optional[float] = None,
        channels: str = "RGB",
        tiles: Union[int, Tiling, None] = None,
    ) -> Detections: ...

    @overload
    def detect(
        self,
        images: Union[list, tuple],
        proposals: Any = None,
        *,
        score: Optional[float] = None,
        channels: str = "RGB",
        tiles: Union[int, Tiling, None] = None,
    ) -> List[Detections]: ...

    @overload
    def detect(
        self,
        images: Any,
        proposals: Any = None,
        *,
        score: Optional[float] = None,
        channels: str = "RGB",
        tiles: Union[int, Tiling, None] = None,
    ) -> Any: ...

    def detect(
        self,
        images: Any,
        proposals: Any = None,
        *,
        score: Optional[float] = None,
        channels: str = "RGB",
        tiles: Union[int, Tiling, None] = None,
    ) -> Any:
        """Returns the Detections of one image, boxes in its own pixels, or a list for several.

        images: the path of an image file, the bytes of one, a PIL image, an array (H, W, 3) or
            (H, W), or an object with ``__array__``. Arrays are uint8; alpha is dropped, and 16 bits
            become 8. A file is turned by its EXIF orientation, a PIL image is taken as it is.
            Several images, of any sizes, are a list or another iterable, or one array (B, H, W, 3).
            They go through the network as one batch.
        proposals: for a FastRCNN, boxes (R, 4) in pixels of the image, or one array for each of
            several images.
        score: the least score of the detections that are returned; None: the detector's
            ``threshold``. 0, and None without a threshold, return all, from the score_floor of the
            detector's postprocess.
        channels: "RGB", or "BGR" for arrays of cv2.imread.
        tiles: for small objects in large images, the side in pixels of the tiles in which each
            image is seen, or a Tiling; None: each image is seen as a whole alone.

        Raises ImageError, which names the file or the index of the image, and DataError for
        proposals that are missing, too many or no boxes, and for tiles that cannot be.
        """
        return detect_images(self, images, proposals, score, channels, tiles)

    def batch(self, images: Sequence[Any], proposals: Any = None, channels: str = "RGB") -> Batch:
        """Returns the Batch that the network gets for a list of images.

        The arguments and errors are the same as those of ``detect``.
        """
        arrays = read_images(images, self.max_pixels, channels)
        rng = np.random.default_rng(0)  # a transform may vary colours or sizes, but reproducibly
        samples = [unlabelled(array) for array in arrays]
        samples = add_proposals(samples, proposals, self.takes_proposals, self.name)
        samples = [apply(self.transforms, sample, rng) for sample in samples]
        return make_batch(samples, [array.shape[:2] for array in arrays], self.pad_multiple)

    def detect_batch(self, batch: Batch) -> List[Detections]:
        """Returns the Detections of each image of a Batch, boxes in pixels of the image on disk."""
        return self.detections(batch, self.outputs(batch))

    def outputs(self, batch: Batch) -> List[np.ndarray]:
        """Returns what the network makes of a Batch, with NMS and in pixels of the Batch."""
        inputs = (getattr(batch, name) for name in self.model.INPUTS)
        outputs = self.model(*(mx.nd.array(array, ctx=self.ctx) for array in inputs))
        return [output.asnumpy() for output in outputs]

    def detections(self, batch: Batch, outputs: List[np.ndarray]) -> List[Detections]:
        """Returns the Detections of each image that ``outputs`` of a Batch mean."""
        return detections_of(batch, outputs, self.class_names, self.first_label, self.skeleton)
