"""The worker of tools/benchmark.py that runs detkit's own detectors, one form of one of them.

run_detkit.py                          answers requests, see protocol.py
run_detkit.py state NAME OUT           draws the weights of a detector, and ends
run_detkit.py export NAME STATE OUT    writes what the exported forms load
run_detkit.py onnx NAME STATE OUT      the same for ONNX Runtime
"""

import sys
from types import SimpleNamespace

import detkit  # noqa: F401  # isort: skip  before MXNet

import detectors
import drawn
import mxnet as mx
import numpy as np
from mxnet import autograd
from protocol import FLOOR, Side, serve
from stopwatch import time_parts, with_rest

from detkit import cli, load_exported
from detkit.build.train_step import build_train_step
from detkit.config import section
from detkit.converters.recipes import load_recipe
from detkit.export import onnx
from detkit.export.graph.graph import Graph
from detkit.export.precision.precisions import BFloat16, Float32, Int8
from detkit.export.symbol import export
from detkit.runner.optimizer import Optimizer

STATIC = {"static_alloc": True}
BLOCKS = {  # how the network's blocks are run
    "eager": {"active": False},
    "hybridized": {},
    "static_alloc": STATIC,
    "static_shape": {**STATIC, "static_shape": True},
}
FILES = {"exported": {}, "fused": {"fuse": True}, "bf16": {}, "int8": {}}  # of load_exported
CALIBRATION = 4, 480, 640  # pictures, and their size
SMALL_STEP = 1e-6  # learning rate of drawn weights: the losses stay finite


class Detkit(Side):
    """detkit's detector in the form ``job["form"]``, with the weights ``job["state"]``."""

    def __init__(self, job):
        super().__init__(job)
        form = job["form"]
        if form in FILES:
            self.detector = load_exported(job["model"], device="cpu", **FILES[form])
        else:
            self.detector = detectors.build(job["name"], read(job["state"]))
            self.detector.model.hybridize(**BLOCKS[form])

    def about(self):
        return {"detkit": detkit.__version__, "mxnet": mx.__version__}

    def use(self, images, boxes, labels):
        self.images = list(images)

    def run(self):
        found = self.detector.detect(self.images)
        return [(each, each.masks) for each in found]

    def found(self, result):
        return [(each.boxes, each.scores, each.labels) for each, _ in result]

    def stages(self, count):
        """Of the blocks one by one, each compiled for itself; "rest" begins and ends at numpy."""
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
        return [with_rest(each) for each in taken]

    def floor(self):
        shape, filters, kernel = FLOOR
        image = mx.nd.random.normal(shape=shape)
        block = convolution(image, filters, kernel, self.job["precision"])
        work = filters * int(np.prod(shape)) * kernel**2
        seconds = self.shortest(lambda: block(image).wait_to_read())
        return {self.job["precision"]: work / seconds}


class Training(Detkit):
    """One step of training: forward, backward, update."""

    def __init__(self, job):
        super().__init__(job)
        name, model = job["name"], self.detector.model
        config = detectors.config_of(name)
        config["train_step"] = section(load_recipe("training"), "train_step")
        classes = len(self.detector.foreground_names)
        self.step = build_train_step(config, model, classes)
        self.step.hybridize(**BLOCKS[job["form"]])
        options = {"accumulate": 1, "clip_norm": None, "multipliers": ()}
        options.update(optimizer={"type": "SGD"}, momentum=0.9)
        options.update(lr=SMALL_STEP, weight_decay=1e-4)
        self.optimizer, self.steps = Optimizer(model, SimpleNamespace(**options)), 0

    def use(self, images, boxes, labels):
        batch = self.detector.batch(list(images))
        arrays = batch.images, batch.sizes, boxes, labels
        self.inputs = [mx.nd.array(array) for array in arrays]

    def run(self):
        self.steps += 1
        with autograd.record():
            losses = self.step(*self.inputs)
            total = mx.nd.add_n(*losses.values())
        total.backward()
        self.optimizer.step(self.steps, SMALL_STEP)
        mx.nd.waitall()
        return losses


def convolution(image, filters, kernel, precision):
    """One convolution alone, compiled as an export of that precision."""
    block = mx.gluon.nn.HybridSequential()
    block.add(mx.gluon.nn.Conv2D(filters, kernel, padding=kernel // 2, in_channels=image.shape[1]))
    block.initialize()
    block.INPUTS = ("images",)
    data = mx.sym.var(*block.INPUTS, dtype="float32")
    parameters = {each.name: each.data() for each in block.collect_params().values()}
    symbol, parameters = precision_of(precision, [(image.asnumpy(),)], keep=()).convert(
        block, Graph(block(data)), parameters
    )
    compiled = mx.gluon.SymbolBlock(symbol, [data])
    named = {f"arg:{name}": array for name, array in parameters.items()}
    compiled.collect_params().load_dict(named, mx.cpu(), cast_dtype=True, dtype_source="saved")
    compiled.hybridize(**BLOCKS["static_shape"])
    return compiled


def precision_of(name, examples, **options):
    """What converts a graph to fp32, bf16 or, with the ranges of some examples, int8."""
    if name == "int8":
        return Int8(examples, **options)
    return BFloat16(**options) if name == "bf16" else Float32()


def read(path):
    with np.load(path) as file:
        return dict(file)


def write(kind, name, *paths):
    """The file or folder that is last in ``paths``, made of the state that is before it."""
    *state, out = paths
    if kind == "state":
        np.savez(out, **detectors.draw_state(name))
        return
    detector = detectors.build(name, read(*state))
    if kind == "onnx":
        onnx.save(detector, out)
        return
    batches = (detector.batch([picture]) for picture in drawn.pictures(*CALIBRATION))
    examples = ((batch.images, batch.sizes) for batch in batches)
    export(detector, out, precision=precision_of(kind, examples))


def make(job):
    return Training(job) if job["training"] else Detkit(job)


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(cli.run(lambda arguments: write(*arguments)))
    else:
        serve(make)
