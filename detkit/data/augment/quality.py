"""Images as from a worse camera or file, or without colours; objects stay where they are.

The defaults of Blur and the way of Greyscale are SimCLR's (Chen et al. 2020, appendix A); the
ranges of Noise and JPEG are detkit's own.
"""

from typing import Tuple

import cv2
import numpy as np

from detkit.data.arguments import limits, probability
from detkit.data.augment.geometry import like
from detkit.data.sample import Sample
from detkit.registry import TRANSFORMS

LONGEST_JPEG = 65500  # pixels of a side, libjpeg's limit


@TRANSFORMS.register()
class Blur:
    """Blurs an image by a Gaussian.

    sigma: the smallest and the largest standard deviation in pixels, in [0.01, 100].
    p: the probability that an image is blurred.
    """

    def __init__(self, sigma: Tuple[float, float] = (0.1, 2.0), p: float = 0.5) -> None:
        self.sigma = limits("sigma", sigma, 0.01, 100)
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.p:
            return sample
        blurred = cv2.GaussianBlur(sample.image, (0, 0), rng.uniform(*self.sigma))
        return sample._replace(image=blurred)


@TRANSFORMS.register()
class Noise:
    """Adds a number to each value of each pixel, drawn from a Gaussian.

    sigma: the smallest and the largest standard deviation, in [0, 255] as the image.
    p: the probability that an image gets noise.
    """

    def __init__(self, sigma: Tuple[float, float] = (0, 10), p: float = 0.5) -> None:
        self.sigma = limits("sigma", sigma, 0, 255)
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.p:
            return sample
        sigma = np.float32(rng.uniform(*self.sigma))
        noise = sigma * rng.standard_normal(sample.image.shape, np.float32)
        return sample._replace(image=like(sample.image + noise, sample.image.dtype))


@TRANSFORMS.register()
class JPEG:
    """Compresses an image and decodes it again; one that is too large for a JPEG stays as it is.

    quality: the worst and the best quality, whole numbers in [1, 100].
    p: the probability that an image is compressed.
    """

    def __init__(self, quality: Tuple[int, int] = (30, 95), p: float = 0.5) -> None:
        worst, best = limits("quality", quality, 1, 100)
        self.quality = int(worst), int(best)
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.p or max(sample.image.shape) > LONGEST_JPEG:
            return sample
        quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
        whole = cv2.cvtColor(like(sample.image, np.dtype(np.uint8)), cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return sample._replace(image=decoded.astype(sample.image.dtype))


@TRANSFORMS.register()
class Greyscale:
    """Takes the colours out of an image, which keeps its three channels.

    p: the probability that an image becomes grey.
    """

    def __init__(self, p: float = 0.2) -> None:
        self.p = probability(p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.p:
            return sample
        grey = cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY)
        return sample._replace(image=cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
