"""The worker of tools/benchmark.py that runs torchvision's detectors; it needs no detkit.

A detector runs as torchvision makes it, or in the form "torchvision_compiled". There, the networks
between the operators on boxes are compiled by torch.compile, with constant weights (freezing), and
weights and maps are in the memory format channels_last. The operators on boxes stay as they are,
because the number of boxes differs between images. This form is not trained.
"""

import os
from contextlib import nullcontext
from typing import Any, ContextManager, Dict, List, Tuple, Type

import numpy as np
import torch
import torchvision
from torchvision.models.detection import FasterRCNN, KeypointRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from benchmark.detectors.stage_times import time_parts, with_rest
from benchmark.detectors.worker import FLOOR, TimedDetector, serve

CLASSES = 91
MASKS = "mask_extractor", "mask_head"
KEYPOINTS = "keypoint_extractor", "keypoint_head"
COMPILED = "torchvision_compiled"
LEARNING_RATE = 1e-6  # so small that the losses of random weights stay finite


def vgg16() -> FasterRCNN:
    """Returns FasterRCNN over vgg16: one map of stride 16, 300 proposals, fc6 and fc7."""
    backbone = torchvision.models.vgg16(weights=None).features[:-1]
    backbone.out_channels = 512
    hidden = 4096
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(((128, 256, 512),), ((0.5, 1.0, 2.0),)),
        rpn_head=RPNHead(512, 9),
        rpn_post_nms_top_n_test=300,
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        box_head=TwoMLPHead(512 * 49, hidden),
        box_predictor=FastRCNNPredictor(hidden, CLASSES),
    )


def resnet50_fpn(kind: Type[FasterRCNN]) -> FasterRCNN:
    """Returns the detector like the pretrained one: frozen batch norms, three trained stages."""
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=3)
    return kind(backbone, CLASSES)


MODELS = {
    "fasterrcnn_vgg16": vgg16,
    "fasterrcnn_resnet50_fpn": lambda: resnet50_fpn(FasterRCNN),
    "maskrcnn_resnet50_fpn": lambda: resnet50_fpn(MaskRCNN),
    "keypointrcnn_resnet50_fpn": lambda: resnet50_fpn(KeypointRCNN),
}


class Torchvision(TimedDetector):
    """torchvision's detector with the weights ``job["state"]``; it does not resize the images."""

    def __init__(self, job: Dict[str, Any]):
        super().__init__(job)
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.model = MODELS[job["name"]]()
        with np.load(job["state"]) as state:
            self.model.load_state_dict({key: torch.from_numpy(state[key]) for key in state})
        self.model.transform.resize = lambda image, target: (image, target)
        self.model.train(job["training"])
        self.is_compiled = job["form"] == COMPILED
        if self.is_compiled:
            self.compile()

    def compile(self) -> None:
        """Lets torch.compile compile each network at its first call.

        The networks on maps are compiled for each size of image. The number of boxes may change.
        """
        torch._inductor.config.freezing = True
        self.model.to(memory_format=torch.channels_last)
        model, heads = self.model, self.model.roi_heads
        for network in (model.backbone, model.rpn.head):
            network.compile(dynamic=False)
        for kind in ("box", "mask", "keypoint"):
            for head in (getattr(heads, f"{kind}_head"), getattr(heads, f"{kind}_predictor")):
                if head is not None:
                    head.compile()

    def about(self) -> Dict[str, str]:
        return {"torchvision": torchvision.__version__, "torch": torch.__version__}

    def use(self, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
        self.images = list(images)

    def run(self) -> Any:
        with torch.no_grad(), self.precision():
            detections = self.model(self.tensors())
        return [
            {name: value.float().numpy() for name, value in image.items()} for image in detections
        ]

    def tensors(self) -> List[torch.Tensor]:
        """Returns the images as the model takes them: (3, H, W) float32, RGB in [0, 1]."""
        tensors = [torch.from_numpy(image) for image in self.images]
        return [tensor.permute(2, 0, 1).float() / 255 for tensor in tensors]

    def precision(self) -> ContextManager:
        if self.job["precision"] == "bf16":
            return torch.autocast("cpu", dtype=torch.bfloat16)
        return nullcontext()

    def detections(self, result: Any) -> List[Tuple[np.ndarray, ...]]:
        names = ("boxes", "scores", "labels", "keypoints")
        return [tuple(image[name] for name in names if name in image) for image in result]

    def stages(self, count: int) -> List[Dict[str, float]]:
        """Returns the seconds of the modules under the names of detkit's parts.

        "rest" is the conversion of the images and the pasting of masks. The search for keypoints
        in heatmaps is part of "postprocess". The parts of compiled networks cannot be told apart.
        """
        if self.is_compiled:
            return []
        return [self.stages_of_a_run() for _ in range(count)]

    def stages_of_a_run(self) -> Dict[str, float]:
        """Returns {stage: seconds} of one run."""
        taken = time_parts(self.parts(), self.run, self.clock)
        for whole, left, inner in (
            ("rpn", "proposals", ("rpn_head", "anchors")),
            ("roi_heads", "postprocess", ("roi_extractor", "roi_head", *MASKS, *KEYPOINTS)),
        ):
            taken[left] = taken.pop(whole) - sum(taken.get(name, 0.0) for name in inner)
        return with_rest(taken)

    def parts(self) -> Dict[str, List[torch.nn.Module]]:
        """Returns {name: modules}; "rpn" and "roi_heads" contain others of them."""
        model, heads = self.model, self.model.roi_heads
        parts = {"normalize": [model.transform]}
        parts["backbone"] = [getattr(model.backbone, "body", model.backbone)]
        if hasattr(model.backbone, "fpn"):
            parts["neck"] = [model.backbone.fpn]
        parts.update(anchors=[model.rpn.anchor_generator], rpn_head=[model.rpn.head])
        parts.update(rpn=[model.rpn], roi_heads=[heads], roi_extractor=[heads.box_roi_pool])
        parts["roi_head"] = [heads.box_head, heads.box_predictor]
        if heads.has_mask():
            masks = [heads.mask_roi_pool], [heads.mask_head, heads.mask_predictor]
            parts.update(zip(MASKS, masks))
        if heads.has_keypoint():
            keypoints = [heads.keypoint_roi_pool], [heads.keypoint_head, heads.keypoint_predictor]
            parts.update(zip(KEYPOINTS, keypoints))
        return parts

    def floor(self) -> Dict[str, float]:
        """Returns the multiply-adds a second of one convolution, by precision."""
        shape, filters, kernel = FLOOR
        layer = torch.nn.Conv2d(shape[1], filters, kernel, padding=kernel // 2)
        image = torch.randn(shape)
        if self.is_compiled:
            layer.to(memory_format=torch.channels_last).compile()
            image = image.to(memory_format=torch.channels_last)
        work = filters * int(np.prod(shape)) * kernel**2
        with torch.no_grad(), self.precision():
            seconds = self.shortest(lambda: layer(image))
        return {self.job["precision"]: work / seconds}


class Training(Torchvision):
    """A training step of torchvision's detector: forward, backward, update."""

    def __init__(self, job: Dict[str, Any]):
        super().__init__(job)
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.SGD(trained, LEARNING_RATE, momentum=0.9, weight_decay=1e-4)

    def use(self, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
        """Keeps the images and objects of the step."""
        super().use(images, boxes, labels)
        self.targets = [
            {"boxes": torch.from_numpy(box), "labels": torch.from_numpy(label).long() + 1}
            for box, label in zip(boxes, labels)
        ]
        self.batch = self.tensors()

    def run(self) -> Any:
        """Makes a training step; returns its losses."""
        with self.precision():
            losses = self.model(self.batch, self.targets)
        self.optimizer.zero_grad()
        sum(losses.values()).backward()
        self.optimizer.step()
        return losses


def make(job: Dict[str, Any]) -> TimedDetector:
    return Training(job) if job["training"] else Torchvision(job)


if __name__ == "__main__":
    serve(make)
