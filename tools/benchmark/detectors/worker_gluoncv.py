"""The worker of tools/benchmark.py that runs GluonCV's detectors, hybridized as its scripts do.

It needs GluonCV, MXNet and numpy, but not detkit. The random weights follow the rule of the other
sides. GluonCV's ResNet has another stem and its boxes are clipped otherwise, so its detections are
not compared.
"""

from typing import Any, Dict, List, Tuple

import gluoncv
import mxnet as mx
import numpy as np

from benchmark.detectors import random_data
from benchmark.detectors.worker import TimedDetector, serve

MODELS = {
    "fasterrcnn_resnet50_fpn": "faster_rcnn_fpn_resnet50_v1b_coco",
    "maskrcnn_resnet50_fpn": "mask_rcnn_fpn_resnet50_v1b_coco",
}
DETECTIONS, THRESHOLD = 100, 0.05
RANDOM = ("weight", "bias", "gamma", "beta")
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class GluonCV(TimedDetector):
    """GluonCV's detector of a name, with random weights."""

    def __init__(self, job: Dict[str, Any]):
        super().__init__(job)
        if job["training"] or job["name"] not in MODELS:
            raise ValueError(
                f"expected detecting with one of {', '.join(MODELS)}, found {job['name']!r}"
                f"{' in training' if job['training'] else ''}"
            )
        make = getattr(gluoncv.model_zoo, MODELS[job["name"]])
        self.model = make(pretrained=False, pretrained_base=False)
        self.masks = "mask" in job["name"]
        self.model.initialize()
        self.model.set_nms(nms_thresh=0.5, nms_topk=-1, force_nms=False, post_nms=DETECTIONS)
        self.images = np.zeros((0, 0, 0, 3), "uint8")
        self.initialized = False

    def about(self) -> Dict[str, str]:
        return {"gluoncv": gluoncv.__version__, "mxnet": mx.__version__}

    def use(self, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
        self.images = images
        if not self.initialized:
            self.run()  # settles the shapes of parameters that are initialized by an image
            for name, parameter in self.model._collect_params_with_prefix().items():
                if name.endswith(RANDOM):
                    parameter.set_data(mx.nd.array(random_data.weight(name, parameter.shape)))
            self.model.hybridize(static_alloc=True)
            self.initialized = True

    def run(self) -> Any:
        pixels = mx.nd.array(self.images).transpose((0, 3, 1, 2)) / 255
        outputs = self.model(mx.nd.image.normalize(pixels, MEAN, DEVIATION))
        labels, scores, boxes, *masks = (output.asnumpy()[0] for output in outputs)
        kept = scores[:, 0] >= THRESHOLD
        detections = boxes[kept], scores[kept, 0], labels[kept, 0].astype("int32") + 1
        if self.masks:
            height, width = self.images.shape[1:3]
            # fill() fails for a box that reaches beyond the image.
            within = np.clip(detections[0], 0, (width, height) * 2)
            gluoncv.data.transforms.mask.fill(masks[0][kept], within, (width, height))
        return [detections]

    def detections(self, result: Any) -> List[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return result


if __name__ == "__main__":
    serve(GluonCV)
