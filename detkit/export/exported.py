"""An exported detector: its network from files -> detections, without the code of its models.

What is here needs numpy and OpenCV alone. detkit/export/runtimes runs the network.
"""

import os
from typing import Any, List, Mapping, Optional, Protocol, Sequence, Union, overload

import numpy as np

from detkit.data.batch import make_batch
from detkit.data.detect_images import detect_images
from detkit.data.given_images import read_images
from detkit.data.images import MAX_PIXELS
from detkit.data.proposed import add_proposals
from detkit.data.resize import resample, resized_size
from detkit.data.sample import Batch, Sample, unlabelled
from detkit.data.tiling import Tiling
from detkit.detections import Detections, detections_of
from detkit.export.manifest import MANIFEST, Manifest
from detkit.export.onnx_manifest import OnnxManifest
from detkit.export.outputs import check_outputs
from detkit.threshold import Threshold


class Network(Protocol):
    """The protocol of a network that a runtime has read from a file."""

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> List[np.ndarray]:
        """Returns the outputs, in the order of the manifest.

        inputs: {name: float32 array} of the manifest's inputs.

        Raises ExportError if the runtime cannot run it with inputs of this size.
        """


class ExportedDetector:
    """A network from files, with the methods of a Detector.

    class_names: the names of the labels. manifest: the content of model.json, or of the metadata of
        an .onnx. takes_proposals: whether ``detect`` needs proposals, because a FastRCNN was
        exported. max_pixels: the largest number of pixels of an image file. runtime: the one that
        runs the network, "mxnet", "onnxruntime" or "openvino". device: where it runs, in the
        runtime's words. name: the detector's name in messages.
    """

    name = "this exported detector"

    def __init__(
        self,
        network: Network,
        manifest: Union[Manifest, OnnxManifest],
        runtime: str,
        device: str,
        file: str = MANIFEST,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.manifest = manifest
        self.class_names = tuple(manifest.classes)
        self.takes_proposals = "proposals" in manifest.inputs
        self.max_pixels = max_pixels
        self.runtime, self.device = runtime, device
        self._network, self._file = network, file

    @property
    def threshold(self) -> Optional[Threshold]:
        """The least scores of what ``detect`` returns by default; None returns everything."""
        return self.manifest.chosen

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

        images, score, channels, tiles: as for Detector.detect.
        proposals: if ``takes_proposals``, boxes (R, 4) in pixels of the image, or one array for
            each of several images.

        Raises ImageError, and DataError for proposals that are missing, superfluous or no boxes.
        Raises ExportError if the network cannot run with images of this size.
        """
        return detect_images(self, images, proposals, score, channels, tiles)

    def batch(
        self,
        images: Sequence[Any],
        proposals: Optional[Sequence[Any]] = None,
        channels: str = "RGB",
    ) -> Batch:
        """Returns the Batch that the network gets for a list of images, see ``detect``."""
        arrays = read_images(images, self.max_pixels, channels)
        samples = [unlabelled(array) for array in arrays]
        samples = add_proposals(samples, proposals, self.takes_proposals, self.name)
        samples = [self._resized(sample) for sample in samples]
        originals = [(array.shape[0], array.shape[1]) for array in arrays]
        return make_batch(samples, originals, self.manifest.pad_multiple)

    def detect_batch(self, batch: Batch) -> List[Detections]:
        """Returns the Detections of each image of a Batch, boxes in pixels of the image on disk."""
        return self.detections(batch, self.outputs(batch))

    def outputs(self, batch: Batch) -> List[np.ndarray]:
        """Returns what the network makes of a Batch, see Detector. Raises ExportError."""
        return self._network({name: batch.array(name) for name in self.manifest.inputs})

    def detections(self, batch: Batch, outputs: List[np.ndarray]) -> List[Detections]:
        """Returns the Detections of each image that ``outputs`` mean. Raises ExportError."""
        manifest = self.manifest
        check_outputs(outputs, len(batch.images), manifest, self._file)
        return detections_of(
            batch, outputs, self.class_names, manifest.first_label, manifest.skeleton
        )

    def _resized(self, sample: Sample) -> Sample:
        resize, (height, width) = self.manifest.resize, sample.image.shape[:2]
        if resize is None:
            return sample
        size = resized_size(height, width, **resize)
        ratio = np.array([size[0] / width, size[1] / height] * 2, np.float32)
        moved = sample.move_boxes(lambda boxes: boxes * ratio)
        return moved._replace(image=resample(sample.image, size, resize["like"]))
