"""The worker of tools/benchmark.py that runs GluonCV's detectors, hybridized as its scripts do.

Its ResNet has another stem and its boxes other clips, so that what it finds is not compared; the
weights are drawn by the same rule.
"""

import drawn
import gluoncv
import mxnet as mx
import numpy as np
from protocol import Side, serve

MODELS = {
    "fasterrcnn_resnet50_fpn": "faster_rcnn_fpn_resnet50_v1b_coco",
    "maskrcnn_resnet50_fpn": "mask_rcnn_fpn_resnet50_v1b_coco",
}
DETECTIONS, THRESHOLD = 100, 0.05
DRAWN = ("weight", "bias", "gamma", "beta")
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class GluonCV(Side):
    def __init__(self, job):
        super().__init__(job)
        if job["training"] or job["name"] not in MODELS:
            raise ValueError(f"gluoncv is measured detecting with {' and '.join(MODELS)}")
        make = getattr(gluoncv.model_zoo, MODELS[job["name"]])
        self.model = make(pretrained=False, pretrained_base=False)
        self.masks = "mask" in job["name"]
        self.model.initialize()
        self.model.set_nms(nms_thresh=0.5, nms_topk=-1, force_nms=False, post_nms=DETECTIONS)
        self.filled = False

    def about(self):
        return {"gluoncv": gluoncv.__version__, "mxnet": mx.__version__}

    def use(self, images, boxes, labels):
        self.images = images
        if not self.filled:
            self.run()  # settles the shapes of what waits for an image
            for name, parameter in self.model._collect_params_with_prefix().items():
                if name.endswith(DRAWN):
                    parameter.set_data(mx.nd.array(drawn.weight(name, parameter.shape)))
            self.model.hybridize(static_alloc=True)
            self.filled = True

    def run(self):
        pixels = mx.nd.array(self.images).transpose((0, 3, 1, 2)) / 255
        outputs = self.model(mx.nd.image.normalize(pixels, MEAN, DEVIATION))
        labels, scores, boxes, *masks = (output.asnumpy()[0] for output in outputs)
        kept = scores[:, 0] >= THRESHOLD
        found = boxes[kept], scores[kept, 0], labels[kept, 0].astype("int32") + 1
        if self.masks:
            height, width = self.images.shape[1:3]
            within = np.clip(found[0], 0, (width, height) * 2)  # it cannot paste beyond the image
            gluoncv.data.transforms.mask.fill(masks[0][kept], within, (width, height))
        return [found]

    def found(self, result):
        return result


if __name__ == "__main__":
    serve(GluonCV)
