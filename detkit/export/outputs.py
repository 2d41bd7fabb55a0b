"""The outputs of an exported network, checked before they become Detections."""

from typing import List, Sequence, Union

import numpy as np

from detkit.errors import ExportError
from detkit.export.manifest import AGAIN, MANIFEST, Manifest
from detkit.export.onnx_manifest import OnnxManifest

MASK_AXES = 4


def check_outputs(
    arrays: Sequence[np.ndarray],
    images: int,
    manifest: Union[Manifest, OnnxManifest],
    file: str = MANIFEST,
) -> None:
    """Raises ExportError for arrays that are not the detections of so many images.

    arrays: boxes (B, D, 4), scores (B, D), labels (B, D) and perhaps masks (B, D, M, M) or heatmaps
        (B, D, J, M, M). Boxes, scores and heatmaps of detections are finite, and there is a name
        for each of their labels.
    file: the place of the manifest, with which a message begins.
    """
    shapes: List[tuple] = [array.shape for array in arrays]
    rows = shapes[0][1:2]
    expected = [(images, *rows, 4), (images, *rows), (images, *rows)]
    if len(shapes) == 4:
        expected.append((images, *rows, *shapes[3][2:-2][:1], *shapes[3][-1:] * 2))
    if shapes != expected:
        raise ExportError(
            f"{file}: outputs: expected boxes (B, D, 4), scores (B, D), labels (B, D) and "
            "perhaps masks (B, D, M, M) or heatmaps (B, D, J, M, M) of "
            f"{images} images, found the shapes {shapes}; {AGAIN}"
        )
    boxes, scores, labels, *heatmaps = (array for array in arrays if array.ndim != MASK_AXES)
    real = scores >= 0
    if not all(np.isfinite(array[real]).all() for array in (boxes, scores, *heatmaps)):
        raise ExportError(
            f"{file}: outputs: expected finite boxes, scores and heatmaps of the network, "
            f"found others; its weights are damaged, {AGAIN}"
        )
    found = labels[real] + manifest.first_label
    wrong = found[~((found >= 0) & (found <= len(manifest.classes) - 1))]
    if len(wrong):
        raise ExportError(
            f"{file}: classes: expected a name for the label {wrong[0]:g} of the network, "
            f"found {len(manifest.classes)} names; {AGAIN}"
        )
