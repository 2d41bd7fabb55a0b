"""Test-time augmentation: an image is seen in several views, whose detections are merged."""

from typing import Any, Dict, List, Optional, Sequence, Union

import mxnet as mx
import numpy as np

from detkit.data.sample import Batch, Sample, unlabelled
from detkit.data.views import AXES, View, views_of
from detkit.detections import Detections
from detkit.detections.detections import detections_of
from detkit.detector import Detector
from detkit.errors import ConfigError
from detkit.models import BoxVoting, Network
from detkit.models.postprocess import Candidates, Selection
from detkit.registry import NMS
from detkit.typing import NDArray

LARGEST_SIDE = 10000  # pixels of a view; a larger one fits into no memory
# Of COCO's 17 keypoints, the first is the nose. Then each one of the left is followed by its own of
# the right.
PERSON = dict.fromkeys(AXES, [[left, left + 1] for left in range(1, 17, 2)])


class TTA:
    """The views of an image, and how their detections are merged.

    short: the shorter side of the views in pixels, or several; null: the detector's own size.
    long: the limit of the longer side in pixels; null keeps its ratio to the shorter side.
    flips: "horizontal" and "vertical": each size is also seen mirrored left and right, or top and
        bottom. An empty list: no view is mirrored.
    nms_iou, max_detections, nms, voting: as in the detector's ``postprocess``, but for the boxes of
        all views together; null: those of the detector.
    keypoint_pairs: {flip: [[i, j], ...]}, for a detector of keypoints: the keypoints that are each
        other's counterparts in a view mirrored by this flip, such as the left and the right eye.
        null: those of COCO's person, if there are 17 keypoints.
    """

    PARTS = {"nms": NMS, "voting": BoxVoting}

    def __init__(
        self,
        short: Optional[Union[int, Sequence[int]]] = None,
        long: Optional[int] = None,
        flips: Sequence[str] = ("horizontal",),
        nms_iou: Optional[float] = None,
        max_detections: Optional[int] = None,
        nms: Optional[Any] = None,
        voting: Optional[BoxVoting] = None,
        keypoint_pairs: Optional[dict] = None,
    ) -> None:
        self.shorts = sizes_of(short, long)
        if not set(flips) <= set(AXES) or len(set(flips)) < len(flips):
            raise ValueError(f"flips: expected {', '.join(AXES)}, each at most once, found {flips}")
        # Selection knows what else is right, and what the detector has in place of a null.
        self.long, self.flips = long, tuple(flips)
        self._chosen: Dict[str, Any] = {
            "nms_iou": nms_iou,
            "max_detections": max_detections,
            "nms": nms,
            "voting": voting,
        }
        self.selection_like(Selection())
        self._pairs = keypoint_pairs
        for flip in keypoint_pairs or ():
            if flip not in AXES:
                raise ValueError(f"keypoint_pairs: expected {', '.join(AXES)}, found {flip!r}")

    def selection_like(self, own: Selection) -> Selection:
        """Returns the selection among the candidates of all views.

        own: the detector's, whose settings stand for those that are null.
        """
        how = {n: getattr(own, n) if v is None else v for n, v in self._chosen.items()}
        return Selection(**how)

    def keypoint_orders(self, count: int) -> Dict[Optional[str], List[int]]:
        """Returns {flip: order} of J keypoints in a view, which makes their places upright again.

        Raises ConfigError if the pairs of a flip are missing, or are none of ``count`` keypoints.
        """
        orders: Dict[Optional[str], List[int]] = {None: list(range(count))}
        for flip in self.flips:
            pairs = PERSON if self._pairs is None and count == 17 else self._pairs or {}
            orders[flip] = _order(count, flip, pairs.get(flip))
        return orders

    def views(self, transforms: Sequence[Any], pad_multiple: int) -> List[View]:
        """Returns the views for a detector's transforms; see views_of, also for the ValueError."""
        return views_of(transforms, self.shorts, self.long, self.flips, pad_multiple)


class TTADetector(Detector):
    """A detector that looks at each image several times and merges what it finds.

    The candidates of all views, each as they are before NMS, go through one NMS and one box voting.
    Masks or heatmaps of keypoints are computed for the merged boxes, in each view, and their mean
    is taken. These are UNION, SOFT_AVG and HM_AVG of Detectron's test-time augmentation. Each view
    of each image goes through the network by itself, so that the result does not depend on the
    batch.

    detector: the detector of one view. tta: the views.

    Raises ConfigError for a detector that has no candidates, such as an RPN, and ValueError, see
    TTA.views.
    """

    def __init__(self, detector: Detector, tta: TTA) -> None:
        super().__init__(
            detector.model,
            detector.class_names,
            transforms=(),
            ctx=detector.ctx,
            pad_multiple=1,
            first_label=detector.first_label,
            config=detector.config,
            max_pixels=detector.max_pixels,
            threshold=detector.threshold,
        )
        self._network = before_nms(detector.model)
        self._selection = tta.selection_like(detector.model.postprocess)
        self._views = tta.views(detector.transforms, detector.pad_multiple)
        self._network.hybridize()
        head = getattr(detector.model, "keypoint_head", None)
        self._orders = tta.keypoint_orders(head.num_keypoints) if head else None

    def detect_batch(self, batch: Batch) -> List[Detections]:
        """Returns the Detections of each image of a Batch of images as they are on disk.

        Raises ValueError for a Batch of images that were resized.
        """
        if (batch.scales != 1).any():
            raise ValueError("expected a batch of images as they are on disk, found resized ones")
        return [self._detections(sample) for sample in samples_of(batch)]

    def _detections(self, sample: Sample) -> Detections:
        """Returns the merged Detections of an image."""
        seen = [view.batch(sample) for view in self._views]
        union = zip(*(self._candidates(*each, seen[0]) for each in zip(self._views, seen)))
        rows = (np.concatenate(of_each, axis=1) for of_each in union)
        outputs = list(self._selection.suppress(mx.nd, *map(self._array, rows)))
        if self.model.BOXES:
            outputs.append(self._array(self._mean_cells(seen, *outputs)))
        arrays = [output.asnumpy() for output in outputs]
        return detections_of(seen[0], arrays, self.class_names, self.first_label, self.skeleton)[0]

    def _candidates(self, view: View, batch: Batch, first: Batch) -> List[np.ndarray]:
        """Returns boxes (1, P, 4) in pixels of the first view, scores (1, P) and labels (1, P)."""
        inputs = (getattr(batch, name) for name in self._network.INPUTS)
        outputs = self._network(*map(self._array, inputs))
        boxes, scores, labels = (output.asnumpy() for output in outputs)
        return [view.turned(boxes, batch) * _ratio(batch, first), scores, labels]

    def _mean_cells(
        self, seen: Sequence[Batch], boxes: NDArray, scores: NDArray, labels: NDArray
    ) -> np.ndarray:
        """Returns the mean over the views of the last output of the detector for boxes (1, D, 4).

        These are masks (1, D, M, M), or heatmaps (1, D, J, M, M).
        """
        cells_of = getattr(self.model, f"{self.model.OUTPUTS[-1]}_of")
        upright, cells = boxes.asnumpy(), []
        for view, batch in zip(self._views, seen):
            own = view.turned(upright * _ratio(seen[0], batch), batch)
            images, sizes, own = map(self._array, (batch.images, batch.sizes, own))
            features = self.model.features(images, sizes)
            turned = view.turned_cells(cells_of(mx.nd, features, own, labels).asnumpy())
            cells.append(turned[:, :, self._orders[view.flip]] if self._orders else turned)
        return np.mean(cells, axis=0, dtype=np.float32)

    def _array(self, array: np.ndarray) -> NDArray:
        return mx.nd.array(array, ctx=self.ctx)


def sizes_of(short: Optional[Union[int, Sequence[int]]], long: Optional[int]) -> Sequence[int]:
    """Returns the shorter sides of a TTA, none for null; see TTA, also for the arguments.

    Raises ValueError for sides that are wrong.
    """
    if short is None:
        if long is not None:
            raise ValueError(f"long: expected null, because short is null, found {long!r}")
        return ()
    shorts = (short,) if isinstance(short, int) else tuple(short)
    if not shorts or not all(1 <= side <= LARGEST_SIDE for side in shorts):
        raise ValueError(f"short: expected 1 to {LARGEST_SIDE} pixels, found {short!r}")
    if len(set(shorts)) < len(shorts):
        raise ValueError(f"short: expected each size once, found {short!r}")
    if long is not None and not max(shorts) <= long <= LARGEST_SIDE:
        raise ValueError(
            f"long: expected {max(shorts)} (the largest short) to {LARGEST_SIDE} pixels, found "
            f"{long!r}"
        )
    return shorts


def _order(count: int, flip: str, pairs: Any) -> List[int]:
    """Returns the order of keypoints in which those of each pair have changed places."""
    listed = isinstance(pairs, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs
    )
    ends = [end for pair in pairs for end in pair] if listed else []
    fit = listed and all(type(end) is int and 0 <= end < count for end in ends)
    if not fit or len(set(ends)) < len(ends):
        raise ConfigError(
            f"tta.keypoint_pairs.{flip}: expected pairs of different numbers from 0 to "
            f"{count - 1}, because views are mirrored ({flip}), found {pairs!r}; write the pairs, "
            "or flips: []"
        )
    order = list(range(count))
    for one, other in pairs:
        order[one], order[other] = other, one
    return order


def before_nms(model: Network) -> Network:
    """Returns a network of the same parts that returns boxes, scores and labels before NMS.

    Raises ConfigError for a detector without such candidates, and for one that goes on from its
    boxes without BOXES.
    """
    kind = model.BOXES or type(model)
    parts = {name: getattr(model, name) for name in kind.PARTS}
    *_, (last, own) = parts.items()
    if last != "postprocess" or not (isinstance(own, Selection) and hasattr(own, "candidates")):
        raise ConfigError(
            "tta: expected a detector of boxes or masks whose postprocess is a Postprocess or a "
            f"DensePostprocess, the candidates of which are merged, found {type(model).__name__}"
        )
    return kind(**{**parts, "postprocess": Candidates(own)})


def samples_of(batch: Batch) -> List[Sample]:
    """Returns the images of a Batch, (H, W, 3) uint8, with their proposals if there are any."""
    samples = []
    for row, (height, width) in enumerate(batch.sizes.astype(int)):
        image = batch.images[row, :, :height, :width].transpose(1, 2, 0)
        sample = unlabelled(np.ascontiguousarray(image, np.uint8))
        if batch.proposals is not None and batch.proposal_scores is not None:
            given = batch.proposals[row, batch.proposal_scores[row] >= 0]
            sample = sample._replace(proposals=given)
        samples.append(sample)
    return samples


def _ratio(batch: Batch, other: Batch) -> np.ndarray:
    """Returns the factors (4,) of boxes of a batch in another one; 1 for equal scales."""
    return np.tile(other.scales[0] / batch.scales[0], 2)
