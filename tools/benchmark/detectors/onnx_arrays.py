"""The arrays of detkit's ONNX model in tools/benchmark.py.

The workers of its peers import this module, so it needs numpy alone. The masks stay M x M for each
box, and the heatmaps stay, too: ONNX has no operator that pastes masks into the image.
"""

from typing import Dict, List, Sequence, Tuple

import numpy as np

PAD = 32  # pixels: both sides of the network's input are multiples


def padded(height: int, width: int) -> Tuple[int, int]:
    """Returns the height and width of the network's input for images of a size in pixels."""
    return -(-height // PAD) * PAD, -(-width // PAD) * PAD


def inputs_of(images: np.ndarray) -> Dict[str, np.ndarray]:
    """Returns the model's inputs, {name: array}, of images (B, H, W, 3) uint8 RGB."""
    count, height, width, _ = images.shape
    pixels = np.zeros((count, 3, *padded(height, width)), "float32")
    pixels[:, :, :height, :width] = images.transpose(0, 3, 1, 2)
    return {"images": pixels, "sizes": np.tile(np.array([height, width], "float32"), (count, 1))}


def detections_of(
    outputs: Sequence[np.ndarray],
) -> List[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Returns boxes (n, 4), scores (n,), labels (n,) of each image from the model's outputs.

    outputs: boxes (B, N, 4), scores (B, N) and labels (B, N), whose unused rows have the score -1.
    """
    boxes, scores, labels = outputs[:3]
    return [
        (box[score >= 0], score[score >= 0], label[score >= 0].astype("int32") + 1)
        for box, score, label in zip(boxes, scores, labels)
    ]
