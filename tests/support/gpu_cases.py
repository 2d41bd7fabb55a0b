"""Calls of detkit's CUDA kernels of the sizes that detectors make, and others' for the same.

A case has its name, a prepared call of cuda_kernels.CudaKernels, and, where somebody else offers
the same, a function that does it and one that compares the two results. Boxes have whole pixels:
their IoUs are then exact, and NMS has to agree box by box.
"""

import ctypes
from typing import Callable, NamedTuple, Optional

from support.cuda_kernels import MODES, Align
from support.kernel_roi_oracles import Geometry

WIDTH, HEIGHT = 1344, 800


class Case(NamedTuple):
    name: str
    call: tuple  # (run, outputs)
    peer: Optional[Callable] = None  # () -> what `differs` takes
    differs: Optional[Callable] = None  # (outputs, the peer's result) -> text, "" where they agree


class Cases:
    """torch and torchvision, a CudaKernels, a device; share makes everything smaller."""

    def __init__(self, torch, torchvision, kernels, device="cuda", share=1.0):
        self.torch, self.ops, self.kernels = torch, torchvision.ops, kernels
        self.device, self._share = device, share
        torch.manual_seed(0)

    def __iter__(self):
        yield from self.suppression()
        yield self.proposals()
        yield self.match()
        yield from self.pooling()
        yield from self.masks()

    def count(self, number):
        return max(int(number * self._share), 8)

    def boxes(self, *shape, smallest=8, largest=400):
        """(..., 4) in whole pixels inside of the image."""
        torch = self.torch
        side = torch.randint(smallest, largest, (*shape, 2), device=self.device).float()
        room = torch.tensor([WIDTH, HEIGHT], device=self.device) - side
        corner = (torch.rand(*shape, 2, device=self.device) * room).floor()
        return torch.cat([corner, corner + side], dim=-1)

    def distinct_scores(self, count):
        return (self.torch.randperm(count, device=self.device) + 1).float() / (count + 1)

    # ------------------------------------------------------------------------------- boxes

    def suppression(self):
        for number in (2000, 10000):
            count = self.count(number)
            boxes, scores = self.boxes(count), self.distinct_scores(count)
            labels = self.torch.randint(0, 20, (count,), device=self.device)

            def differs(outputs, kept):
                index = outputs[3][0]
                return "" if index[index >= 0].tolist() == kept.tolist() else "other boxes are kept"

            one = (boxes[None], scores[None])
            yield Case(
                f"nms of {count}",
                self.kernels.nms(*one, None, 0.5),
                lambda b=boxes, s=scores: self.ops.nms(b, s, 0.5),
                differs,
            )
            yield Case(
                f"nms of {count} in 20 labels",
                self.kernels.nms(*one, labels[None].float(), 0.5),
                lambda b=boxes, s=scores, k=labels: self.ops.batched_nms(b, s, k, 0.5),
                differs,
            )
        soft = self.kernels.nms(*one, None, 0.5, 1000, 100, "gaussian")
        yield Case("soft-NMS of 1000, 100 kept", soft)

    def proposals(self):
        torch, levels = self.torch, []
        for stride in (4, 8, 16, 32, 64):
            count = self.count((HEIGHT // stride) * (WIDTH // stride) * 3)
            anchors = self.boxes(count, smallest=4 * stride, largest=11 * stride)
            logits = torch.randn(2, count, device=self.device)
            levels.append((anchors, logits, torch.randn(2, count, 4, device=self.device) / 4))
        sizes = torch.tensor([[HEIGHT, WIDTH]] * 2, device=self.device).float()
        call = self.kernels.proposals(levels, sizes, 1000, 1000, 0.7, 1.0)
        return Case(
            "proposals, 2 images, 5 levels", call, lambda: self._propose(levels), _few_other
        )

    def _propose(self, levels):
        """torchvision's way of the RPN: (B, 1000, 4), with rows of 0 where there are fewer."""
        torch, limit = self.torch, 4.135166556742356
        out = torch.zeros(2, 1000, 4, device=self.device)
        for image in range(2):
            found = []
            for number, (anchors, logits, deltas) in enumerate(levels):
                scores, best = logits[image].topk(min(1000, len(anchors)))
                low, high = anchors[best].split(2, dim=1)
                shift, growth = deltas[image, best].split(2, dim=1)
                centre = (low + high) / 2 + shift * (high - low)
                half = growth.clamp(max=limit).exp() * (high - low) / 2
                boxes = torch.cat([centre - half, centre + half], dim=1)
                boxes = self.ops.clip_boxes_to_image(boxes, (HEIGHT, WIDTH))
                large = self.ops.remove_small_boxes(boxes, 1.0)
                label = torch.full_like(large, number)
                found.append((boxes[large], scores[large].sigmoid(), label))
            boxes, scores, labels = (torch.cat(parts) for parts in zip(*found))
            kept = self.ops.batched_nms(boxes, scores, labels, 0.7)[:1000]
            out[image, : len(kept)] = boxes[kept]
        return out

    def match(self):
        boxes, objects = self.boxes(self.count(200000)), self.boxes(1, 50)
        labels = self.torch.zeros(1, 50, device=self.device)
        candidates = self.torch.ones(1, len(boxes), device=self.device)

        def peer():
            overlaps = self.ops.box_iou(objects[0], boxes)
            return overlaps, overlaps.max(dim=0), overlaps.max(dim=1)

        def differs(outputs, result):
            overlaps, per_box, per_object = result
            index, iou, _, _, _, best_iou = outputs
            at_index = overlaps.gather(0, index.long())
            good = (iou[0] == per_box.values).all() and (at_index == iou).all()
            return "" if good and (best_iou[0] == per_object.values).all() else "other IoUs"

        call = self.kernels.match(boxes[None], candidates, objects, labels)
        return Case(f"match of {len(boxes)} boxes, 50 objects", call, peer, differs)

    # --------------------------------------------------------------------------------- RoIs

    def pooling(self):
        torch, stride, size = self.torch, 8, 7
        count, channels = self.count(1000), self.count(256)
        maps = torch.randn(2, channels, HEIGHT // stride, WIDTH // stride, device=self.device)
        image = torch.randint(0, 2, (count, 1), device=self.device)
        rois = torch.cat([image.float(), self.boxes(count, smallest=20)], dim=1)
        geometry = Geometry(size, [1 / stride])
        align = ctypes.byref(Align(2, 1, MODES["average"]))
        kinds = {
            "roi_align": (
                [align],
                lambda x, r: self.ops.roi_align(x, r, size, 1 / stride, 2, aligned=True),
            ),
            "roi_pool": ([MODES["max"]], lambda x, r: self.ops.roi_pool(x, r, size, 1 / stride)),
            "prroi_pool": ([], None),
            "crop_pool": ([], None),
        }
        for dtype in (torch.float32, torch.float16):
            features = maps.to(dtype)
            for name, (how, peer) in kinds.items():
                yield from self._pool(name, features, rois, geometry, how, peer)

    def _pool(self, name, features, rois, geometry, how, peer):
        dtype = str(features.dtype).replace("torch.", "")
        shape = (len(rois), features.shape[1], geometry.size, geometry.size)
        grad_out = self.torch.randn(shape, device=self.device).to(features.dtype)
        tolerance = 1e-3 if dtype == "float32" else 1e-2

        def backward(x, boxes, gradient):
            leaf = x.clone().requires_grad_()
            pooled = peer(leaf, boxes)
            return lambda: self.torch.autograd.grad(pooled, leaf, gradient, retain_graph=True)[0]

        # torchvision computes coordinates and sums in float16 too: not what to be compared with.
        def differs(outputs, _):
            return _gap(outputs[0], peer(features.float(), rois), tolerance)

        def gradient_differs(outputs, _):
            wanted = backward(features.float(), rois, grad_out.float())()
            return _gap(outputs[0], wanted, tolerance)

        boxes = rois.to(features.dtype)
        yield Case(
            f"{name} {dtype}",
            self.kernels.pool(name, [features], rois, geometry, *how),
            peer and (lambda: peer(features, boxes)),
            differs,
        )
        yield Case(
            f"{name} {dtype} backward",
            self.kernels.pool_backward(name, [features], rois, geometry, grad_out, *how),
            peer and backward(features, boxes, grad_out),
            gradient_differs,
        )

    # -------------------------------------------------------------------------------- masks

    def masks(self):
        torch, count = self.torch, self.count(100)
        boxes = self.boxes(1, count)
        masks = (torch.rand(1, 8, HEIGHT, WIDTH, device=self.device) > 0.5).to(torch.uint8)
        index = torch.randint(0, 8, (1, count), device=self.device).int()
        target = self.kernels.mask_target(masks, boxes, index, 28)
        yield Case(f"mask targets of {count}", target)
        probabilities = torch.rand(count, 28, 28, device=self.device)
        paste = self.kernels.mask_paste(probabilities, boxes[0].contiguous(), HEIGHT, WIDTH)
        yield Case(f"{count} masks pasted", paste)


def _few_other(outputs, result):
    """exp differs in the last bit between libraries, and a threshold may turn on that."""
    other = ((outputs[0] - result).abs().amax(dim=2) > 0.01).float().mean().item()
    return "" if other < 0.02 else f"{other:.1%} of the proposals are others"


def _gap(found, wanted, tolerance):
    """A maximum of which rounding decides may be another; such gradients are few."""
    gap = (found.float() - wanted).abs() / (1 + wanted.abs())
    share = (gap > tolerance).float().mean().item()
    return "" if share < 1e-4 else f"{share:.2%} differ by more than {tolerance:g}"
