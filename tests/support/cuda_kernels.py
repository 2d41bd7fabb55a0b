"""detkit/ops/native/cuda/kernels_cuda.h through ctypes, for arrays of numpy or of torch.

Each method prepares a call: it allocates the outputs and the workspace and returns (run, outputs),
so that run() can be timed. The library is one of nvcc's, on torch's CUDA tensors, or one of g++
with cuda_on_cpu.h, on numpy's arrays.
"""

import ctypes
import subprocess
from ctypes import POINTER, Structure, byref, c_float, c_int, c_size_t, c_void_p
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
SOURCES = TESTS.parent / "detkit/ops/native/cuda"
MAX_LEVELS = 8
MODES = {"average": 0, "max": 1}
NMS_MODES = {"hard": 0, "linear": 1, "gaussian": 2}
STATUS = {1: "out of memory", 2: "bad argument", 3: "CUDA error"}


class KernelError(RuntimeError):
    """A function returned something else than DETKIT_OK."""


def build_for_cpu(folder, *flags):
    """The library for numpy, compiled by g++ into a folder; its path."""
    target = Path(folder) / "libdetkit_cuda_on_cpu.so"
    common = ["g++", "-std=c++17", "-O1", "-fPIC", "-ffp-contract=off", "-Wno-unknown-pragmas"]
    emulated = ["-x", "c++", "-include", TESTS / "ops/native/cuda_on_cpu.h"]
    sources = sorted(SOURCES.glob("*.cu"))
    subprocess.run([*common, *flags, "-shared", *emulated, *sources, "-o", target], check=True)
    return target


class NumpyMemory:
    """Fresh memory is full of what a kernel must not rely on."""

    stream = None

    def empty(self, shape, dtype="float32"):
        array = np.empty(shape, dtype)
        array.view("uint8").fill(0xA5)
        return array

    def workspace(self, size):
        room = self.empty(size + 256, "uint8")
        start = -room.ctypes.data % 256
        return room[start : start + size]

    def pointer(self, array):
        return array.ctypes.data


class TorchMemory:
    """Tensors of a CUDA device, work on its current stream; or, for cuda_on_cpu.h, on the CPU."""

    def __init__(self, torch, device="cuda"):
        self._torch, self._device = torch, device

    @property
    def stream(self):
        return self._torch.cuda.current_stream().cuda_stream if self._device != "cpu" else None

    def empty(self, shape, dtype="float32"):
        return self._torch.empty(shape, dtype=getattr(self._torch, str(dtype)), device=self._device)

    def workspace(self, size):
        return self.empty(size, "uint8")  # torch aligns to 512

    def pointer(self, tensor):
        return tensor.data_ptr()


class Nms(Structure):
    _fields_ = [
        *((name, c_int) for name in ("images", "boxes", "top_k_in", "top_k_out", "mode")),
        *((name, c_float) for name in ("iou", "sigma", "min_score")),
    ]


class Proposals(Structure):
    _fields_ = [
        *((name, c_int) for name in ("images", "levels", "pre_nms", "post_nms")),
        *(("iou", c_float), ("min_size", c_float), ("weights", c_float * 4)),
    ]


class Level(Structure):
    _fields_ = [
        ("anchors", c_int),
        *((name, c_void_p) for name in ("boxes", "objectness", "deltas")),
    ]


class Match(Structure):
    _fields_ = [(name, c_int) for name in ("images", "boxes", "objects", "shared_boxes")]


class RoIs(Structure):
    _fields_ = [
        *((name, c_int) for name in ("images", "channels", "rois", "size", "levels")),
        *(("height", c_int * MAX_LEVELS), ("width", c_int * MAX_LEVELS)),
        ("scale", c_float * MAX_LEVELS),
        *(("first_level", c_int), ("canonical_level", c_int), ("canonical_size", c_float)),
        ("level_margin", c_float),
    ]


class Align(Structure):
    _fields_ = [(name, c_int) for name in ("sampling", "aligned", "mode")]


class MaskTarget(Structure):
    _fields_ = [(name, c_int) for name in ("images", "objects", "rois", "height", "width", "size")]


class CudaKernels:
    """The functions of a library, on arrays of one kind of memory."""

    def __init__(self, path, memory):
        self.library = ctypes.CDLL(str(path))
        self._memory = memory

    def nms(
        self,
        boxes,
        scores,
        labels,
        iou,
        top_k_in=-1,
        top_k_out=-1,
        mode="hard",
        sigma=0.5,
        min_score=0.0,
    ):
        """boxes, scores, labels, index, as kernel_oracles.Kept."""
        images, count = scores.shape
        rows = count if top_k_out < 0 else min(count, top_k_out)
        nms = Nms(images, count, top_k_in, top_k_out, NMS_MODES[mode], iou, sigma, min_score)
        outputs = [
            self._memory.empty((images, rows, 4)),
            *(self._memory.empty((images, rows)) for _ in range(2)),
            self._memory.empty((images, rows), "int32"),
        ]
        workspace = self._workspace("nms", byref(nms))
        return self._call("nms", byref(nms), boxes, scores, labels, *outputs, workspace), outputs

    def proposals(self, levels, sizes, pre_nms, post_nms, iou, min_size, weights=(1, 1, 1, 1)):
        """boxes (B, R, 4), scores (B, R)."""
        images = len(sizes)
        node = Proposals(
            images, len(levels), pre_nms, post_nms, iou, min_size, (c_float * 4)(*weights)
        )
        own = (Level * max(len(levels), 1))(
            *((len(level[0]), *map(self._memory.pointer, level)) for level in levels)
        )
        rows = min(sum(min(len(anchors), pre_nms) for anchors, _, _ in levels), post_nms)
        outputs = [self._memory.empty((images, rows, 4)), self._memory.empty((images, rows))]
        workspace = self._workspace("proposals", byref(node), own)
        run = self._call("proposals", byref(node), own, sizes, *outputs, workspace, keep=levels)
        return run, outputs

    def match(self, boxes, candidates, objects, labels):
        """index, iou, is_best, ignored, best_index, best_iou, as kernel_oracles.Match."""
        (images, count), (_, number) = (len(objects), boxes.shape[1]), labels.shape
        match = Match(images, count, number, int(len(boxes) == 1 and images > 1))
        outputs = [
            self._memory.empty((images, count), "int32"),
            *(self._memory.empty((images, count)) for _ in range(3)),
            self._memory.empty((images, number), "int32"),
            self._memory.empty((images, number)),
        ]
        workspace = self._workspace("match", byref(match))
        arrays = (boxes, candidates, objects, labels)
        return self._call("match", byref(match), *arrays, *outputs, workspace), outputs

    def pool(self, name, features, rois, geometry, *how):
        """(R, C, P, P): name is roi_align, ...; geometry as kernel_roi_oracles.Geometry.

        how: what the function takes after its geometry, an Align or the number of a mode.
        """
        node = geometry_of(features, rois, geometry)
        shape = (len(rois), features[0].shape[1], geometry.size, geometry.size)
        out = self._memory.empty(shape, _dtype(features[0]))
        arrays = (self._pointers(features), rois, out)
        half = int(_dtype(features[0]) == "float16")
        return self._call(name, byref(node), *how, *arrays, half, keep=features), [out]

    def pool_backward(self, name, features, rois, geometry, grad_out, *how):
        """A gradient for each level of features; of prroi_pool also that of the RoIs, last."""
        node = geometry_of(features, rois, geometry)
        half = int(_dtype(features[0]) == "float16")
        grads = [self._memory.empty(maps.shape, _dtype(maps)) for maps in features]
        of_rois = [self._memory.empty(rois.shape)] if name == "prroi_pool" else []
        workspace = self._workspace("roi_backward", byref(node), half)
        given = (self._pointers(features), rois, grad_out, self._pointers(grads), *of_rois)
        run = self._call(
            f"{name}_backward", byref(node), *how, *given, half, workspace, keep=(features, grads)
        )
        return run, [*grads, *of_rois]

    def mask_target(self, masks, rois, index, size):
        """(B, R, M, M)."""
        images, objects, height, width = masks.shape
        node = MaskTarget(images, objects, index.shape[1], height, width, size)
        out = self._memory.empty((*index.shape, size, size))
        return self._call("mask_target", byref(node), masks, rois, index, out), [out]

    def mask_paste(self, probabilities, boxes, height, width):
        """(N, H, W)."""
        count, size = probabilities.shape[:2]
        out = self._memory.empty((count, height, width))
        arrays = (probabilities, boxes, height, width, out)
        return self._call("mask_paste", count, size, *arrays), [out]

    def _pointers(self, arrays):
        return (c_void_p * len(arrays))(*map(self._memory.pointer, arrays))

    def _workspace(self, name, *arguments):
        size = getattr(self.library, f"detkit_cuda_{name}_workspace")
        size.restype = c_size_t
        return self._memory.workspace(size(*arguments))

    def _call(self, name, *arguments, keep=()):
        """A function that runs detkit_cuda_<name>; `keep` are arrays that only pointers name."""
        function = getattr(self.library, f"detkit_cuda_{name}")
        raw = [self._raw(argument) for argument in arguments]

        def run():
            status = function(*raw, c_void_p(self._memory.stream))
            if status:
                raise KernelError(f"detkit_cuda_{name}: {STATUS[status]}")
            return keep, arguments

        return run

    def _raw(self, argument):
        if hasattr(argument, "shape"):
            return c_void_p(self._memory.pointer(argument))
        return POINTER(c_int)() if argument is None else argument


def _dtype(array):
    return str(array.dtype).replace("torch.", "")


def geometry_of(features, rois, geometry):
    images, channels = features[0].shape[:2]
    sides = [maps.shape[2:] for maps in features]
    node = RoIs(images, channels, len(rois), geometry.size, len(features))
    for i, ((height, width), scale) in enumerate(zip(sides, geometry.scales)):
        node.height[i], node.width[i], node.scale[i] = height, width, scale
    node.first_level, node.canonical_level = geometry.first_level, geometry.canonical_level
    node.canonical_size, node.level_margin = geometry.canonical_size, geometry.level_margin
    return node
