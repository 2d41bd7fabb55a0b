"""The cases of tools/benchmark_ops.py: each operator on several sizes, with all implementations."""

from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from detkit import ops

from . import random_arrays as draw
from .implementations import backward, mxnet, numpy_list, ours, tensor, torchvision_
from .timing import Case

STRIDE, CHANNELS, CELLS = 16, 256, 7
MAP = (50, 68)
IOU, PRE_NMS, POST_NMS, MIN_SIZE = 0.7, 2000, 1000, 1e-3
LEVELS: Dict[int, List[Tuple[int, Sequence[float]]]] = {
    1: [(16, (128, 256, 512))],
    5: [(2**k, (2 ** (k + 3),)) for k in range(2, 7)],
}
PAIR = 8  # operations of an IoU: 4 extrema, 2 differences, a product, a comparison


def catalogue() -> Dict[str, Callable[[], Case]]:
    """Returns {name: function that makes the case}; an operator's sizes ascend."""
    made: Dict[str, Callable[[], Case]] = {}
    for kind in ("random", "clustered"):
        for n in (100, 1000, 2000, 6000, 12000, 30000, 100000):
            made[f"nms {n:,} {kind}"] = partial(nms_case, n, kind)
    for levels in LEVELS:
        made[f"proposals {levels} levels"] = partial(proposals_case, levels)
    for objects in (10, 100):
        for n in (20000, 200000):
            made[f"match {n:,} x {objects}"] = partial(match_case, n, objects)
    for rois in (64, 512, 2000):
        for op, make in (("roi_align", roi_align_case), ("roi_pool", roi_pool_case)):
            made[f"{op} {rois:,}"] = partial(make, rois)
            made[f"{op} backward {rois:,}"] = partial(make, rois, with_backward=True)
        for op in ("prroi_pool", "crop_pool"):
            made[f"{op} {rois:,}"] = partial(own_pool_case, op, rois)
        made[f"mask_target {rois:,}"] = partial(mask_target_case, rois)
    for count in (10, 100):
        made[f"mask_paste {count}"] = partial(mask_paste_case, count)
    return made


def all_cases(names: Sequence[str]) -> Iterator[Case]:
    """Makes the cases whose names begin with one of ``names``, or all, one at a time."""
    for name, make in catalogue().items():
        if name.startswith(tuple(names) or ""):
            yield make()._replace(name=name)


def nms_case(n: int, kind: str) -> Case:
    """Returns the case of NMS on "random" or "clustered" boxes."""
    boxes = draw.random_boxes(n) if kind == "random" else draw.clustered_boxes(n)
    scores = draw.scores(n)
    batch, batch_scores = mx.nd.array(boxes[None]), mx.nd.array(scores[None])
    columns = [np.arange(n)[:, None], scores[:, None], boxes]
    rows = mx.nd.array(np.concatenate(columns, axis=1))
    tensors = tensor(boxes), tensor(scores)
    implementations = {
        **ours(lambda F: ops.nms(F, batch, batch_scores, IOU), kept_index),
        **mxnet(lambda F: F.contrib.box_nms(rows, overlap_thresh=IOU, id_index=-1), first_column),
        **torchvision_(lambda torch, tv: tv.ops.nms(*tensors, IOU)),
    }
    moved = (20 + 28) * n
    return Case(f"nms {kind}", n, implementations, 0.0, moved, PAIR * n, growth=2)


def kept_index(arrays: Sequence[mx.nd.NDArray]) -> List[np.ndarray]:
    """Returns the rows that detkit's NMS kept."""
    index = arrays[3].asnumpy()[0]
    return [index[index >= 0]]


def first_column(rows: mx.nd.NDArray) -> List[np.ndarray]:
    """Returns the rows that box_nms kept, by the numbers in their first column."""
    rows = rows.asnumpy()
    return [rows[rows[:, 1] >= 0, 0]]


def proposals_case(count: int) -> Case:
    """Returns the case of an RPN's proposals from ``count`` levels."""
    levels = draw.levels(LEVELS[count])
    sizes = mx.nd.array(draw.IMAGE)
    arrays = [tuple(map(mx.nd.array, level)) for level in levels]
    arguments = (PRE_NMS, POST_NMS, IOU, MIN_SIZE, (1, 1, 1, 1))
    tensors = [tuple(tensor(array[0]) for array in level) for level in levels]
    anchors = sum(level[1].size for level in levels)
    implementations = {
        **ours(lambda F: ops.proposals(F, arrays, sizes, *arguments)),
        **torchvision_(
            lambda torch, tv: torch_proposals(torch, tv, tensors),
            lambda arrays: [array[None] for array in numpy_list(arrays)],
        ),
    }
    entering = sum(min(level[1].size, PRE_NMS) for level in levels)
    moved = 4 * anchors + 32 * entering + 20 * POST_NMS
    return Case("proposals", anchors, implementations, 2e-3, moved, 40 * entering)


def torch_proposals(torch: Any, tv: Any, levels: Sequence[Tuple]) -> Tuple:
    """Returns boxes and scores like torchvision's RegionProposalNetwork.filter_proposals."""
    coder = tv.models.detection._utils.BoxCoder((1.0, 1.0, 1.0, 1.0))
    chosen = []
    for number, (anchors, objectness, deltas) in enumerate(levels):
        logits, best = objectness.topk(min(PRE_NMS, len(objectness)))
        boxes = coder.decode_single(deltas[best], anchors[best])
        boxes = tv.ops.clip_boxes_to_image(boxes, (draw.HEIGHT, draw.WIDTH))
        keep = tv.ops.remove_small_boxes(boxes, MIN_SIZE)
        number = torch.full((len(keep),), number)
        chosen.append((boxes[keep], logits[keep].sigmoid(), number))
    boxes, scores, numbers = map(torch.cat, zip(*chosen))
    keep = tv.ops.batched_nms(boxes, scores, numbers, IOU)[:POST_NMS]
    return boxes[keep], scores[keep]


def match_case(n: int, objects: int) -> Case:
    """Returns the case of matching n boxes with objects."""
    boxes, truth = draw.random_boxes(n), draw.random_boxes(objects, shortest=40)
    batch, candidates = mx.nd.array(boxes[None]), mx.nd.ones((1, n))
    batch_truth, labels = mx.nd.array(truth[None]), mx.nd.ones((1, objects))
    flat, flat_truth, tensors = batch[0], batch_truth[0], (tensor(boxes), tensor(truth))
    implementations = {
        **ours(
            lambda F: ops.match(F, batch, candidates, batch_truth, labels),
            lambda match: numpy_list([match.iou[0], match.best_iou[0], match.index[0]]),
        ),
        **mxnet(lambda F: mxnet_match(F, flat, flat_truth)),
        **torchvision_(lambda torch, tv: torch_match(tv, *tensors)),
    }
    moved = 4 * (5 * n + 4 * n) + 4 * 7 * objects
    return Case("match", n * objects, implementations, 1e-5, moved, PAIR * n * objects)


def mxnet_match(F: Any, boxes: mx.nd.NDArray, objects: mx.nd.NDArray) -> Tuple:
    """Returns each box's IoU, each object's IoU and each box's object, by MXNet's operators."""
    iou = F.contrib.box_iou(boxes, objects)
    return F.max(iou, axis=1), F.max(iou, axis=0), F.argmax(iou, axis=1)


def torch_match(tv: Any, boxes: Any, objects: Any) -> Tuple:
    """Returns the results of mxnet_match by torchvision's operators."""
    iou = tv.ops.box_iou(boxes, objects)
    largest, index = iou.max(dim=1)
    return largest, iou.max(dim=0).values, index


class Pooling:
    """The arrays of an RoI operator for every implementation, and the bytes that it must move."""

    def __init__(self, count: int):
        self.features, self.rois = draw.features(CHANNELS, *MAP), draw.random_boxes(count)
        self.gradient = draw.generator(6, count).normal(size=(count, CHANNELS, CELLS, CELLS))
        self.gradient = self.gradient.astype("float32")
        self.batch = mx.nd.array(self.rois[None])
        rows = np.concatenate([np.zeros((count, 1), "float32"), self.rois], axis=1)
        self.rows, self.tensor_rows = mx.nd.array(rows), tensor(rows)

    def case(
        self,
        op: str,
        calls: Tuple[Callable, Optional[Callable], Optional[Callable]],
        with_backward: bool,
        tolerance: float,
        operations: float,
    ) -> Case:
        """Returns the case of an operator.

        calls: detkit(F, features), torchvision(tv, features), MXNet(F, features); the last two are
        None for an operator that detkit alone has.
        """
        call, torch_call, mxnet_call = calls
        if with_backward and torch_call and mxnet_call:
            implementations = backward(self.features, self.gradient, call, torch_call, mxnet_call)
        else:
            array, torch_array = mx.nd.array(self.features), tensor(self.features)
            implementations = {
                **ours(lambda F: call(F, array)),
                **(mxnet(lambda F: mxnet_call(F, array)) if mxnet_call else {}),
                **(torchvision_(lambda _, tv: torch_call(tv, torch_array)) if torch_call else {}),
            }
        moved = 4 * (self.features.size + self.rois.size + self.gradient.size)
        return Case(op, len(self.rois), implementations, tolerance, moved, operations)


def roi_align_case(count: int, with_backward: bool = False, sampling: int = 2) -> Case:
    """Returns the case of RoIAlign or of its backward pass."""
    p = Pooling(count)
    calls = (
        lambda F, x: ops.roi_align(F, x, p.batch, CELLS, STRIDE, sampling, False),
        lambda tv, x: tv.ops.roi_align(x, p.tensor_rows, CELLS, 1 / STRIDE, sampling, False),
        lambda F, x: F.contrib.ROIAlign(x, p.rows, (CELLS, CELLS), 1 / STRIDE, sampling),
    )
    op = "roi_align backward" if with_backward else "roi_align"
    return p.case(op, calls, with_backward, 1e-3, p.gradient.size * 4 * sampling**2)


def roi_pool_case(count: int, with_backward: bool = False) -> Case:
    """Returns the case of RoI pooling or of its backward pass."""
    p = Pooling(count)
    calls = (
        lambda F, x: ops.roi_pool(F, x, p.batch, CELLS, STRIDE),
        lambda tv, x: tv.ops.roi_pool(x, p.tensor_rows, CELLS, 1 / STRIDE),
        lambda F, x: F.ROIPooling(x, p.rows, (CELLS, CELLS), 1 / STRIDE),
    )
    cells = ((p.rois[:, 2:] - p.rois[:, :2]) / STRIDE).prod(axis=1)
    comparisons = p.gradient.size if with_backward else CHANNELS * np.sum(cells)
    op = "roi_pool backward" if with_backward else "roi_pool"
    return p.case(op, calls, with_backward, 1e-3, float(comparisons))


def own_pool_case(op: str, count: int) -> Case:
    """Returns the case of prroi_pool or crop_pool, which MXNet and torchvision do not have."""
    p = Pooling(count)
    call = getattr(ops, op)
    calls = (lambda F, x: call(F, x, p.batch, CELLS, STRIDE), None, None)
    return p.case(op, calls, False, 1e-3, p.gradient.size * 16)


def mask_target_case(count: int, size: int = 28, objects: int = 10) -> Case:
    """Returns the case of the training targets (size, size) of a mask head."""
    masks, _ = draw.masks(objects)
    rois, index = draw.random_boxes(count), draw.generator(7).integers(0, objects, count)
    arrays = mx.nd.array(masks, dtype="uint8"), mx.nd.array(rois[None])
    numbers = mx.nd.array(index[None], dtype="int32")
    rows = tensor(np.concatenate([index[:, None], rois], axis=1).astype("float32"))
    planes = tensor(masks[0][:, None])
    implementations = {
        **ours(lambda F: ops.mask_target(F, *arrays, numbers, size)),
        **torchvision_(
            lambda _, tv: tv.ops.roi_align(planes.float(), rows, size, 1.0, -1, True),
            lambda targets: [targets.numpy().reshape(1, count, size, size)],
        ),
    }
    covered = float(np.sum((rois[:, 2:] - rois[:, :2]).prod(axis=1)))
    moved = min(covered, masks.size) + 4 * count * size**2
    return Case("mask_target", count, implementations, 1e-4, moved, covered)


def mask_paste_case(count: int, size: int = 28) -> Case:
    """Returns the case of pasting masks (size, size) into the image."""
    boxes = draw.random_boxes(count)
    probabilities = draw.generator(8).random((count, size, size), "float32")
    arrays = mx.nd.array(probabilities), mx.nd.array(boxes)
    tensors = tensor(probabilities), tensor(boxes)
    image = draw.HEIGHT, draw.WIDTH
    implementations = {
        **ours(lambda F: ops.mask_paste(F, *arrays, *image)),
        **torchvision_(
            lambda _, tv: torch_paste(tv, *tensors, image), lambda out: [out[:, 0].numpy()]
        ),
    }
    covered = float(np.sum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)))
    moved = 4 * count * draw.HEIGHT * draw.WIDTH
    return Case("mask_paste", count, implementations, 1e-4, moved, 2 * covered)


def torch_paste(tv: Any, probabilities: Any, boxes: Any, image: Tuple[int, int]) -> Any:
    """Returns the masks (count, 1, H, W) that torchvision pastes."""
    return tv.models.detection.roi_heads.paste_masks_in_image(probabilities[:, None], boxes, image)
