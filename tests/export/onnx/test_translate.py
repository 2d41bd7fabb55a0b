"""Single operators in ONNX: NMS with ties and what is no number, layers, shapes."""

from functools import partial

import numpy as np
import pytest
from mxnet.gluon import HybridBlock, nn

from detkit import ops
from detkit.errors import ExportError
from detkit.export.onnx import convert
from detkit.models import Network
from detkit.models.norms import GroupNorm, norm_layer
from support.exports import detector_of
from support.onnx_runs import ONNX, runs

pytestmark = ONNX


class Layers(HybridBlock):
    """A network that only looks at the images, with random weights."""

    INPUTS, OUTPUTS, TELLS_CLASSES = Network.INPUTS, Network.OUTPUTS, True

    def __init__(self, *layers):
        super().__init__()
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(*layers)
        self.initialize()
        rng = np.random.default_rng(0)
        for parameter in self.collect_params().values():
            parameter.set_data(rng.uniform(0.1, 0.5, parameter.shape))

    def hybrid_forward(self, F, images, sizes):
        found = self.layers(images)
        # All outputs depend on the sizes, or they would be no input of the graph.
        zero = F.reshape(F.sum(sizes * 0), shape=(1,))
        several = found if isinstance(found, (list, tuple)) else [found]
        return [F.broadcast_add(F.reshape(each, shape=(0, -1)), zero) for each in several]


def function(body):
    return nn.HybridLambda(lambda F, x: body(F, x))


def assert_agree(layers, *images):
    sizes = [np.ones((len(batch), 2), "float32") for batch in images]
    detector = detector_of(Layers(*layers))
    for _, found, expected in runs(detector, *zip(images, sizes)):
        for one, other in zip(found, expected):
            rows = other.shape[1]
            np.testing.assert_allclose(one[:, :rows], other, rtol=1e-5, atol=1e-5)


def crowd(rows, seed):
    """Boxes, scores and labels as planes (1, 3, 4, rows): many ties, and what is no number."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 8, (2, rows)).astype("float32")
    boxes = np.concatenate([corner, corner + rng.integers(-1, 6, (2, rows))])
    scores = rng.choice([0, 0.25, 0.5, 0.75, -0.5, np.nan, np.inf], (4, rows))
    boxes[rng.random(boxes.shape) < 0.02] = np.nan
    boxes[rng.random(boxes.shape) < 0.02] = np.inf
    labels = rng.integers(0, 3, (4, rows))
    return np.stack([boxes, scores, labels])[None].astype("float32")


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize(
    "iou, top_in, top_out", [(0.3, 40, 9), (0, -1, 9), (1, 30, 30), (0.5, 20, 60), (0.4, -1, -1)]
)
def test_nms_with_ties_and_what_is_no_number(labelled, iou, top_in, top_out):
    def nms(F, images):
        boxes, scores, labels = F.split(images, num_outputs=3, axis=1, squeeze_axis=True)
        boxes = F.transpose(F.slice_axis(boxes, axis=1, begin=0, end=4), axes=(0, 2, 1))
        scores, labels = (
            F.squeeze(F.slice_axis(each, axis=1, begin=0, end=1), axis=1)
            for each in (scores, labels)
        )
        labels = labels if labelled else None
        boxes, *others, index = ops.nms(F, boxes, scores, iou, top_in, top_out, labels)
        return [boxes, *others, F.cast(index, dtype="float32")]

    crowds = [np.concatenate([crowd(n, n), crowd(n, n + 1)]) for n in (50, 200, 3)]
    assert_agree([function(nms)], *crowds)


def test_soft_nms_is_refused():
    def soft(F, images):
        scores = F.reshape(F.max(images, axis=(1, 3)), shape=(0, -1))
        boxes = F.broadcast_axis(F.expand_dims(scores, axis=2), axis=2, size=4)
        return list(ops.soft_nms(F, boxes, scores, 5))[:3]

    with pytest.raises(ExportError, match="detkit_nms .*soft-NMS.* hard"):
        convert(detector_of(Layers(function(soft))))


class Pooled(HybridBlock):
    """RoIs of every size, some on no map or not numbers, of a pyramid of two levels or of one."""

    def __init__(self, pool, levels):
        super().__init__()
        rng = np.random.default_rng(0)
        corner = rng.uniform(-20, 40, (1, 40, 2))
        rois = np.concatenate([corner, corner + rng.uniform(-2, 60, (1, 40, 2))], axis=2)
        rois[0, :4, 0], rois[0, 5] = (np.nan, np.inf, 300, -2e4), 0
        self._pool, self._levels = pool, levels
        with self.name_scope():
            self.rois = self.params.get_constant("rois", rois.astype("float32"))

    def hybrid_forward(self, F, images, rois):
        each = F.zeros_like(F.reshape(F.mean(images, axis=(1, 2, 3)), shape=(-1, 1, 1)))
        coarse = F.Pooling(images, kernel=(2, 2), stride=(2, 2), pool_type="avg")
        by_size = {"levels": ops.Levels(1, 3, 32.0)} if self._levels else {}
        maps, stride = ((images, coarse), (2, 4)) if self._levels else (images, 2)
        return self._pool(F, maps, F.broadcast_add(rois, each), 3, stride, **by_size)


POOLINGS = {
    "align": partial(ops.roi_align, sampling=2, aligned=True),
    "adaptive": partial(ops.roi_align, sampling=0, aligned=False),
    "largest": partial(ops.roi_align, sampling=2, aligned=True, mode="max"),
    "pool": ops.roi_pool,
    "crop": ops.crop_pool,
}


@pytest.mark.parametrize("levels", [False, True])
@pytest.mark.parametrize("name", POOLINGS)
def test_roi_pooling(name, levels):
    assert_agree([Pooled(POOLINGS[name], levels)], *_random())


LAYERS = {
    "convolution": nn.Conv2D(6, (3, 2), (2, 1), (1, 0), (1, 2), groups=3, in_channels=3),
    "deconvolution": nn.Conv2DTranspose(
        4, 3, strides=2, padding=1, output_padding=1, in_channels=3, use_bias=False
    ),
    "max": nn.MaxPool2D(3, 2, 1),
    "max rounded up": nn.MaxPool2D(3, 2, 1, ceil_mode=True),
    "mean": nn.AvgPool2D(3, 2, 1),
    "mean without the padding": nn.AvgPool2D(3, 2, 1, count_include_pad=False),
    "mean rounded up": nn.AvgPool2D(2, 2, ceil_mode=True),
    "global mean": nn.GlobalAvgPool2D(),
    "global max": nn.GlobalMaxPool2D(),
    "leaky": nn.LeakyReLU(0.3),
    "elu": nn.ELU(),
    "prelu": nn.PReLU(in_channels=3),
    "tanh": nn.Activation("tanh"),
    "softplus": nn.Activation("softrelu"),
    "batch norm": nn.BatchNorm(in_channels=3),
    "group norm": GroupNorm(3, 1e-5, groups=1),
    "instance norm": norm_layer("IN", 3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    assert_agree([LAYERS[name]], *_random())


def test_dense_layer_of_the_last_axis():
    last = function(lambda F, x: F.transpose(x, axes=(0, 2, 3, 1)))
    for bias in (False, True):
        dense = nn.Dense(4, flatten=False, in_units=3, use_bias=bias)
        assert_agree([last, dense], *_random())


FUNCTIONS = {
    "arithmetic": lambda F, x: 2 - x / 3 + 1 / (x * x + 1) - (x + 5) ** 2 * F.exp(-x),
    "comparisons": lambda F, x: (x > 0) + (x <= 1) * 2 + (x != x) * 4 + (x == x) * 8 + (x < -1),
    "of two": lambda F, x: F.concat(*(op(x, F.abs(x)) for op in (F.maximum, F.minimum)), dim=1),
    "choice": lambda F, x: F.where(F.floor(x), x, F.clip(x, -0.5, 0.5)),
    "choice of rows": lambda F, x: F.where(F.mean(x, axis=(1, 2, 3)) > 0, x, x * 2),
    "maximum of all": lambda F, x: F.broadcast_mul(x, F.reshape(F.max(x), shape=(1, 1, 1, 1))),
    "sums": lambda F, x: F.sum(x, axis=2, keepdims=True, exclude=True),
    "means": lambda F, x: F.mean(x, axis=(1, -1)),
    "constants": lambda F, x: F.broadcast_mul(
        x, F.reshape(F.arange(1, 4) + F.full(3, 0.5) - F.ones(3), shape=(1, 3, 1, 1))
    ),
    "softmax": lambda F, x: F.softmax(x, axis=2, temperature=0.5),
    "log of softmax": lambda F, x: F.log_softmax(x, axis=1),
    "argmax": lambda F, x: F.argmax(x, axis=3),
    "reversed": lambda F, x: F.reverse(x, axis=(1, 3)),
    "slice": lambda F, x: F.slice(x, begin=(None, 1, 2), end=(None, None, 9), step=(1, 1, 3)),
    "zeros around": lambda F, x: F.pad(
        x, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 0), constant_value=0.5
    ),
    "split": lambda F, x: F.reshape(x, shape=(-4, -1, 1, -2)),
    "merge": lambda F, x: F.reshape(F.transpose(x, axes=(0, 2, 3, 1)), shape=(0, -3, -1)),
    "two merges": lambda F, x: F.reshape(F.reshape(x, shape=(-3, -3)), shape=(-1, 33, 13)),
    "products": lambda F, x: F.batch_dot(*[F.reshape(x, shape=(0, -3, -1))] * 2, transpose_b=True),
    "other products": lambda F, x: F.batch_dot(
        *[F.reshape(x, shape=(0, -3, -1))] * 2, transpose_a=True
    ),
    "stack": lambda F, x: F.stack(x, F.negative(x), axis=2),
    "like": lambda F, x: F.slice_like(F.UpSampling(x, scale=2, sample_type="nearest"), x),
    "larger": lambda F, x: F.contrib.BilinearResize2D(
        x, scale_height=1.7, scale_width=2.3, align_corners=False
    ),
    "smaller": lambda F, x: F.contrib.BilinearResize2D(
        x, scale_height=0.72, scale_width=0.4, align_corners=False
    ),
    "between corners": lambda F, x: F.contrib.BilinearResize2D(
        x, scale_height=1.5, scale_width=0.6
    ),
    "one cell for each": lambda F, x: F.pick(x, F.argmax(x, axis=1) + 1, axis=1, mode="clip"),
    "taken": lambda F, x: F.take(x, F.floor(F.slice_axis(x, axis=3, begin=0, end=2)) + 5, axis=3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    assert_agree([function(FUNCTIONS[name])], *_random())


REFUSED = {
    "translation": lambda F, x: F.arctan(x),
    "pool_type sum": lambda F, x: F.Pooling(x, kernel=(2, 2), pool_type="sum"),
    "such a window": lambda F, x: F.Pooling(
        x, kernel=(2, 2), stride=(3, 3), pooling_convention="full"
    ),
    "sample_type bilinear": lambda F, x: F.UpSampling(
        x, F.ones((3, 1, 4, 4)), scale=2, num_filter=3, sample_type="bilinear"
    ),
    "mode size without two scales": lambda F, x: F.contrib.BilinearResize2D(x, height=8, width=9),
    "mode wrap": lambda F, x: F.take(x, x * 0, axis=1, mode="wrap"),
    "a shape with two unknowns": lambda F, x: F.reshape(x, shape=(-4, -1, 1, -4, -1, 3, 0, 0)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(ExportError, match=rf"^ONNX: \w+ '\w+': .*{message}.*; "):
        convert(detector_of(Layers(function(REFUSED[message]))))


def _random():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 3, 11, 13)).astype("float32") for n in (1, 2)]
