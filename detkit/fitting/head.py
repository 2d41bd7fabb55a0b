"""The last layers of an RCNN's head: SVMs on its hidden features, box regressors on its map.

This is Girshick et al. 2014, section 2.3 and appendices B and C, after the fine-tuning.
"""

from typing import List, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np

from detkit import boxes
from detkit.detections.overlap import pairwise_iou
from detkit.errors import DataError, TrainingError
from detkit.fitting.regions import Image, LoadsImages, Reservoir, features_of, images_of
from detkit.fitting.ridge import Linear, fit_ridge
from detkit.fitting.svm import MinedSVM, SVMOptions
from detkit.models import RCNN, BoxStatistics
from detkit.typing import Context

NEGATIVE_IOU = 0.3  # below it with all objects of a class, a proposal is a negative (appendix B)
PAIR_IOU = 0.6  # above it, a proposal is a pair with the object for the regressor (appendix C)
# The paper says nothing of it, but R-CNN's code scales features to this mean norm. The weights of
# the losses and the penalty are meant for it.
MEAN_NORM = 20.0
SAMPLED = 8  # proposals of each image, for the mean norm


class FitOptions(NamedTuple):
    """How the layers are fitted.

    passes: over all images, in search of hard negatives; R-CNN's code makes one.
    pairs: the largest number of pairs of a class; if there are more, a sample of them is drawn.
    penalty: lambda of the regressors. svm: those of the SVMs; its seed is that of the sample, too.
    """

    passes: int = 1
    pairs: int = 2000
    penalty: float = 1000.0
    svm: SVMOptions = SVMOptions()


class Fitted(NamedTuple):
    """The examples of one class: objects, negatives of the last fit, and pairs."""

    name: str
    objects: int
    negatives: int
    pairs: int


class Scales(NamedTuple):
    """The factors of the features that the classes and the boxes are fitted on."""

    hidden: float
    cells: float


def fit_head(
    model: RCNN,
    loader: LoadsImages,
    class_names: Sequence[str],
    ctx: Context,
    options: FitOptions,
) -> List[Fitted]:
    """Fits the layers ``classes`` and ``boxes`` of an RCNNHead; returns the examples of each class.

    The logit of a class is then the margin of its SVM, and the background's logit is 0. A class
    without pairs keeps the boxes of its proposals.

    loader: one image a batch, with its objects and proposals. ctx: the device of the model.

    Raises DataError for a class without objects or without negatives, and TrainingError without
    scikit-learn or for features that are all 0.
    """
    positives, scales = _positives(model, loader, class_names, ctx)
    svms = [
        MinedSVM(name, rows * scales.hidden, options.svm)
        for name, rows in zip(class_names, positives)
    ]
    pairs = [Reservoir(options.pairs, (options.svm.seed, label)) for label in range(len(svms))]
    for number in range(options.passes):
        for image in images_of(model, loader, ctx, f"pass {1 + number} of {options.passes}"):
            hidden, cells = features_of(model, image, image.proposals)
            _show_negatives(svms, image, hidden * scales.hidden)
            if not number:
                _add_pairs(pairs, image, cells, model.postprocess.box_weights)
    fitted = [svm.fit().of_unscaled(scales.hidden) for svm in svms]
    regressors = [_regressor(each, cells_of(model), scales.cells, options) for each in pairs]
    _put(model, fitted, regressors)
    counts = zip(class_names, positives, svms, pairs)
    return [
        Fitted(name, len(rows), len(svm.negatives), len(each)) for name, rows, svm, each in counts
    ]


def _positives(
    model: RCNN, loader: LoadsImages, class_names: Sequence[str], ctx: Context
) -> Tuple[List[np.ndarray], Scales]:
    """Returns the hidden features (n, d) of all objects of each class, and the Scales."""
    found: List[List[np.ndarray]] = [[] for _ in class_names]
    norms: Tuple[List[np.ndarray], List[np.ndarray]] = ([], [])
    for image in images_of(model, loader, ctx, "objects"):
        every = max(1, len(image.proposals) // SAMPLED)
        regions = np.concatenate([image.objects, image.proposals[::every][:SAMPLED]])
        features = features_of(model, image, regions)
        for rows, each in zip(norms, features):
            rows.append(np.linalg.norm(each, axis=1))
        for label, row in zip(image.labels, features[0]):
            found[label].append(row)
    missing = [name for name, rows in zip(class_names, found) if not rows]
    if missing:
        raise DataError(
            f"expected an object of every class, found none of {', '.join(missing)}; leave these "
            "classes out of class_names, or add images"
        )
    means = [float(np.concatenate(rows).mean()) for rows in norms]
    if not min(means) > 0:
        raise TrainingError(
            f"expected features of the regions that are not all 0, found the mean norms {means}; "
            "train the network first"
        )
    return [np.stack(rows) for rows in found], Scales(*(MEAN_NORM / mean for mean in means))


def _show_negatives(svms: Sequence[MinedSVM], image: Image, hidden: np.ndarray) -> None:
    """Shows each SVM the proposals, of these hidden features, that show no object of its class.

    A crowd may have objects of every class.
    """
    crowded = pairwise_iou(image.proposals, image.crowds).max(axis=1, initial=0)
    iou = pairwise_iou(image.proposals, image.objects)
    for label, svm in enumerate(svms):
        own = iou[:, image.labels == label].max(axis=1, initial=0)
        rows = np.flatnonzero(np.maximum(own, crowded) < NEGATIVE_IOU)
        svm.show(image.number, rows, hidden[rows])


def _add_pairs(
    pairs: Sequence[Reservoir], image: Image, cells: np.ndarray, weights: Sequence[float]
) -> None:
    """Adds (features, deltas) of the proposals near an object to those of the object's class.

    cells: (R, w). weights: of the deltas, see RoITargets.
    """
    iou = pairwise_iou(image.proposals, image.objects)
    for label, reservoir in enumerate(pairs):
        own = np.flatnonzero(image.labels == label)
        rows = np.flatnonzero(iou[:, own].max(axis=1, initial=0) > PAIR_IOU)
        if len(rows):
            objects = image.objects[own[iou[np.ix_(rows, own)].argmax(axis=1)]]
            near, objects = (mx.nd.array(each) for each in (image.proposals[rows], objects))
            reservoir.add(cells[rows], boxes.encode(mx.nd, objects, near, weights).asnumpy())


def _regressor(pairs: Reservoir, width: int, scale: float, options: FitOptions) -> Linear:
    """Returns the regressor of the deltas (n, 4) of a class from features (n, width)."""
    if not len(pairs):
        return Linear(np.zeros((4, width)), np.zeros(4))
    cells, deltas = pairs.columns()
    return fit_ridge(cells * scale, deltas, options.penalty).of_unscaled(scale)


def cells_of(model: RCNN) -> int:
    """Returns the number of features that the boxes are computed from."""
    width: int = model.roi_head.boxes.weight.shape[1]
    return width


def _put(model: RCNN, svms: Sequence[Linear], regressors: Sequence[Linear]) -> None:
    """Puts the functions into the layers. The background, whose logit comes first, gets 0."""
    background = Linear(np.zeros_like(svms[0].weight), np.zeros(1))
    statistics = model.postprocess.box_statistics
    if statistics is not None:
        regressors = [_normalised(each, k, statistics) for k, each in enumerate(regressors)]
    for layer, functions in (
        (model.roi_head.classes, [background, *svms]),
        (model.roi_head.boxes, regressors),
    ):
        layer.weight.set_data(mx.nd.array(np.concatenate([each.weight for each in functions])))
        layer.bias.set_data(mx.nd.array(np.concatenate([each.bias for each in functions])))


def _normalised(regressor: Linear, label: int, statistics: BoxStatistics) -> Linear:
    """Returns the regressor of the normalised deltas, which the postprocessing restores."""
    tables = (each.data().asnumpy() for each in (statistics.means, statistics.stds))
    mean, std = (table[label % statistics.rows] for table in tables)
    return Linear(regressor.weight / std[:, None], (regressor.bias - mean) / std)
