"""The worker of tools/benchmark.py that runs detkit's own detectors, one form of one of them.

It answers the requests of worker.py. With arguments it writes one file or folder instead, and ends:

    state NAME OUT                      random weights of a detector
    onnx NAME STATE OUT                 the model of ONNX Runtime
    exported|bf16|int8 NAME STATE OUT   the folder that a form of sides.FILES loads
"""

import sys
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import detkit  # noqa: F401  # isort: skip  before MXNet

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import HybridBlock

from benchmark.detectors import detkit_detectors, random_data
from benchmark.detectors.stage_times import time_parts, with_rest
from benchmark.detectors.worker import FLOOR, TimedDetector, serve
from detkit import cli, load_exported
from detkit.build.precision import multiply_in_bfloat16
from detkit.build.train_step import build_train_step
from detkit.config import section
from detkit.converters.recipes import load_recipe
from detkit.detections import Detections
from detkit.export import onnx
from detkit.export.graph.graph import Graph
from detkit.export.precision.precisions import BFloat16, Float32, Int8
from detkit.export.symbol import export
from detkit.runner.optimizer import Optimizer

STATIC = {"static_alloc": True}
BLOCKS: Dict[str, Dict[str, bool]] = {  # arguments of hybridize
    "eager": {"active": False},
    "hybridized": {},
    "static_alloc": STATIC,
    "static_shape": {**STATIC, "static_shape": True},
}
FILES: Dict[str, Dict[str, bool]] = {  # arguments of load_exported
    "exported": {},
    "fused": {"fuse": True},
    "bf16": {},
    "int8": {},
}
CALIBRATION = 4, 480, 640  # pictures, their height and width
LEARNING_RATE = 1e-6  # so small that the losses of random weights stay finite


class Detkit(TimedDetector):
    """detkit's detector in the form ``job["form"]``, with the weights ``job["state"]``."""

    def __init__(self, job: Dict[str, Any]):
        super().__init__(job)
        form = job["form"]
        if form in FILES and not job["training"]:
            self.detector = load_exported(job["model"], device="cpu", **FILES[form])
        else:
            self.detector = detkit_detectors.build(job["name"], read(job["state"]))
            if form == "bf16":
                multiply_in_bfloat16(self.detector.model)
            self.detector.model.hybridize(**BLOCKS.get(form, STATIC))
        self.images: List[np.ndarray] = []

    def about(self) -> Dict[str, str]:
        return {"detkit": detkit.__version__, "mxnet": mx.__version__}

    def use(self, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
        self.images = list(images)

    def run(self) -> Any:
        detections = self.detector.detect(self.images, score=0)
        return [(image, image.masks) for image in detections]  # a mask is pasted when asked for

    def streams(self) -> List[Callable[[], Any]]:
        """Returns the runs of several detectors: one thread at a time may use a detector.

        Each has run once, because the first run compiles its network.
        """
        detectors = [self]
        for _ in range(1, self.job.get("streams", 1)):
            detectors.append(type(self)(self.job))
            detectors[-1].images = self.images
        if len(detectors) > 1:
            for detector in detectors:
                detector.run()
        return [detector.run for detector in detectors]

    def detections(
        self, result: Sequence[Tuple[Detections, Optional[np.ndarray]]]
    ) -> List[Tuple[np.ndarray, ...]]:
        found = [(image.boxes, image.scores, image.labels, image.keypoints) for image, _ in result]
        return [image if image[-1] is not None else image[:-1] for image in found]

    def stages(self, count: int) -> List[Dict[str, float]]:
        """Returns the seconds of each part, compiled alone; "rest" begins and ends at numpy."""
        form = self.job["form"]
        if form in FILES:
            return []
        model = self.detector.model
        parts = {name: [getattr(model, name)] for name in model.PARTS if getattr(model, name)}
        model.hybridize(False)
        for (part,) in parts.values():
            part.hybridize(**BLOCKS[form])
        self.run()  # compiles them
        taken = [time_parts(parts, self.run, self.clock, mx.nd.waitall) for _ in range(count)]
        model.hybridize(**BLOCKS[form])
        return [with_rest(run) for run in taken]

    def floor(self) -> Dict[str, float]:
        """Returns {precision: multiply-adds a second} of a convolution as an export has it."""
        shape, filters, kernel = FLOOR
        image = mx.nd.random.normal(shape=shape)
        block = convolution(image, filters, kernel, self.job["precision"])
        work = filters * int(np.prod(shape)) * kernel**2
        seconds = self.shortest(lambda: block(image).wait_to_read())
        return {self.job["precision"]: work / seconds}


class Training(Detkit):
    """A training step of detkit's detector: forward, backward, update."""

    def __init__(self, job: Dict[str, Any]):
        super().__init__(job)
        name, model = job["name"], self.detector.model
        config = detkit_detectors.config_of(name)
        config["train_step"] = section(load_recipe("training"), "train_step")
        classes = len(self.detector.foreground_names)
        self.step = build_train_step(config, model, classes)
        self.step.hybridize(**BLOCKS.get(job["form"], STATIC))
        options = SimpleNamespace(
            optimizer={"type": "SGD"},
            lr=LEARNING_RATE,
            momentum=0.9,
            weight_decay=1e-4,
            accumulate=1,
            clip_norm=None,
            multipliers=(),
            layer_decay=1.0,
        )
        self.optimizer, self.steps = Optimizer(model, options), 0

    def use(self, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
        batch = self.detector.batch(list(images))
        arrays = batch.images, batch.sizes, boxes, labels
        self.inputs = [mx.nd.array(array) for array in arrays]

    def run(self) -> Any:
        """Takes one step and returns its losses."""
        self.steps += 1
        with autograd.record():
            losses = self.step(*self.inputs)
            total = mx.nd.add_n(*losses.values())
        total.backward()
        self.optimizer.step(self.steps, LEARNING_RATE)
        mx.nd.waitall()
        return losses


def convolution(image: mx.nd.NDArray, filters: int, kernel: int, precision: str) -> HybridBlock:
    """Returns one convolution alone, compiled like an export of that precision."""
    block = mx.gluon.nn.HybridSequential()
    block.add(mx.gluon.nn.Conv2D(filters, kernel, padding=kernel // 2, in_channels=image.shape[1]))
    block.initialize()
    block.INPUTS = ("images",)
    data = mx.sym.var(*block.INPUTS, dtype="float32")
    parameters = {each.name: each.data() for each in block.collect_params().values()}
    symbol, parameters = precision_of(precision, [(image.asnumpy(),)], keep=()).convert(
        block, Graph(block(data)), parameters, precision == "bf16"
    )
    compiled = mx.gluon.SymbolBlock(symbol, [data])
    named = {f"arg:{name}": array for name, array in parameters.items()}
    compiled.collect_params().load_dict(named, mx.cpu(), cast_dtype=True, dtype_source="saved")
    compiled.hybridize(**BLOCKS["static_shape"])
    return compiled


def precision_of(name: str, examples: Any, **options: Any) -> Any:
    """Returns the converter of a graph to fp32, bf16 or, with the ranges of examples, int8."""
    if name == "int8":
        return Int8(examples, **options)
    return BFloat16(**options) if name == "bf16" else Float32()


def read(path: str) -> Dict[str, np.ndarray]:
    """Returns the arrays of an .npz."""
    with np.load(path) as file:
        return dict(file)


def write(kind: str, name: str, *paths: str) -> None:
    """Writes the last of ``paths``, from the state that is the first of two."""
    *state, out = paths
    if kind == "state":
        np.savez(out, **detkit_detectors.random_state(name))
        return
    detector = detkit_detectors.build(name, read(*state))
    if kind == "onnx":
        onnx.save(detector, out)
        return
    batches = (detector.batch([picture]) for picture in random_data.pictures(*CALIBRATION))
    examples = ((batch.images, batch.sizes) for batch in batches)
    export(detector, out, precision=precision_of(kind, examples))


def make(job: Dict[str, Any]) -> TimedDetector:
    return Training(job) if job["training"] else Detkit(job)


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(cli.run(lambda arguments: write(*arguments)))
    else:
        serve(make)
