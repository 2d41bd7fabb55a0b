"""Small valid files of every format, from which the mutations start."""

import functools
import io
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import cv2
import numpy as np

from fuzz import layouts
from fuzz.mat import mat
from fuzz.onnx import onnx
from fuzz.weights import Files, params, pkl, pth, safetensors

TOOLS = Path(__file__).resolve().parents[1]
SIDE = 32  # pixels

CONFIG = b"""_base_: b.yaml
# a comment
model:
  type: FasterRCNN
  backbone: {type: ResNet, depth: 50, out_strides: [4, 8, 16, 32], pretrained: null}
  anchors: {_delete_: true, type: AnchorGrid, sizes: [[32], [64]], ratios: [0.5, 1, 2]}
train: &t {epochs: 12, lr: 2e-2, schedule: {drops: [8, 11]}}
other: *t
root: ${DETKIT_FUZZ:data}/x
text: "a \\u00e9 b"
block: |
  several
  lines
"""
BASE = b"""model:
  anchors: {type: Other, sizes: [1]}
  norm: BN
seed: 0
list: [1, 2.5, yes, null]
"""
XML = b"""<annotation><filename>a.jpg</filename>
<size><width>32</width><height>32</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>3</xmin><ymin>4.5</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>
<object><name>dog</name><difficult>1</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>32</xmax><ymax>32</ymax></bndbox></object>
</annotation>
"""
PLUGIN = """
from mxnet.gluon import HybridBlock, nn
from detkit.registry import BACKBONES


@BACKBONES.register()
class FuzzNet(HybridBlock):
    channels, strides = (8,), (16,)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for before in (3, 8, 8, 8):
                self.layers.add(nn.Conv2D(8, 3, 2, 1, in_channels=before))

    def hybrid_forward(self, F, images):
        return [self.layers(images)]
"""
RUN = """
plugins: [fuzz_net.py]
model:
  type: FasterRCNN
  backbone: {type: FuzzNet}
  anchors: {type: AnchorGrid, sizes: [12, 24], ratios: [1]}
  rpn_head: {type: RPNHead, channels: 8}
  proposals: {pre_nms: 50, post_nms: 8, min_size: 4}
  roi_extractor: {type: RoIAlign, size: 3}
  roi_head: {type: FCHead, hidden: [8]}
train_step:
  rpn_targets:
    assigner: {type: MaxIoUAssigner}
    sampler: {type: RandomSampler, size: 16}
    straddle: null
  roi_targets: {assigner: {type: MaxIoUAssigner}, sampler: {type: RandomSampler, size: 8}}
  rpn_loss: {box: {type: SmoothL1}}
  roi_loss: {box: {type: SmoothL1}}
data:
  train: {type: Shapes, length: 2, size: [48, 48]}
  val: {type: Shapes, length: 2, size: [48, 48], seed: 1}
  train_transforms: []
  val_transforms: [{type: Resize, short: 48, long: 64}]
train: {epochs: 1, batch_size: 2, lr: 0.01, schedule: {type: StepSchedule, drops: []}}
evaluate: {type: VOCEvaluator}
"""


def picture(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    """Returns a smooth image of this shape."""
    ramp = np.arange(int(np.prod(shape))).reshape(shape)
    return (ramp * (3 if dtype == np.uint8 else 700)).astype(dtype)


def encoded(suffix: str, image: np.ndarray, *options: int) -> bytes:
    """Returns the bytes of an image file."""
    return cv2.imencode(suffix, image, list(options))[1].tobytes()


def configs() -> List[Files]:
    """Returns a config with a base."""
    return [{"a.yaml": CONFIG, "b.yaml": BASE}]


def voc() -> List[Files]:
    """Returns a folder in VOC's layout, with two images."""
    jpeg = encoded(".jpg", picture(SIDE, SIDE, 3))
    files = {"JPEGImages/a.jpg": jpeg, "JPEGImages/b.jpg": jpeg, "Annotations/b.xml": XML}
    return [{"Annotations/a.xml": XML, "ImageSets/Main/train.txt": b"a\nb\n", **files}]


def coco() -> List[Files]:
    """Returns a folder in COCO's layout: boxes, polygons, both kinds of run lengths, keypoints."""
    square = [[4, 4, 20, 4, 20, 20, 4, 20]]
    segmentations: List[Any] = [
        square,
        {"size": [SIDE, SIDE], "counts": [4, 20, SIDE * SIDE - 24]},
        rle(),
        square * 2,
    ]
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": SIDE, "height": SIDE} for i in (1, 2)
        ],
        "categories": [
            {"id": 3, "name": "cat"},
            {"id": 7, "name": "dog", "keypoints": ["nose", "tail"]},
        ],
        "annotations": [
            {"id": i, "image_id": 1 + i % 2, "category_id": 3 + 4 * (i % 2), "iscrowd": i // 3,
             "bbox": [4, 4, 16, 16], "area": 256.0, "segmentation": each,
             "keypoints": [5, 6, i % 3, 19.5, 4, 2], "num_keypoints": 1 + (i % 3 > 0)}
            for i, each in enumerate(segmentations)
        ],
    }  # fmt: skip
    jpeg = encoded(".jpg", picture(SIDE, SIDE, 3))
    return [{"a.json": json.dumps(content).encode(), "images/1.jpg": jpeg, "images/2.jpg": jpeg}]


def rle() -> Dict[str, Any]:
    """Returns a compressed mask as JSON holds it."""
    from detkit.segmentations import encode

    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[5:20, 7:19] = 1
    return {"size": [SIDE, SIDE], "counts": encode(mask)["counts"].decode()}


def images() -> List[Files]:
    """Returns an image of every format and of the usual kinds of pixels."""
    colour, grey = picture(SIDE, SIDE + 8, 3), picture(SIDE, SIDE)
    deep = picture(SIDE, SIDE, 3, dtype=np.uint16)
    jpeg = encoded(".jpg", colour)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    jpegs = [jpeg, turned, encoded(".jpg", grey)]
    jpegs.append(encoded(".jpg", colour, cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    pngs = [encoded(".png", each) for each in (colour, grey, deep, picture(SIDE, SIDE, 4))]
    pngs.append(encoded(".png", grey, cv2.IMWRITE_PNG_BILEVEL, 1))
    tiffs = [encoded(".tiff", colour, cv2.IMWRITE_TIFF_COMPRESSION, kind) for kind in (1, 5, 8)]
    tiffs.append(encoded(".tiff", deep))
    webps = [encoded(".webp", colour, cv2.IMWRITE_WEBP_QUALITY, quality) for quality in (50, 101)]
    named = {"png": pngs, "bin": [*jpegs, *tiffs, *webps, encoded(".bmp", colour)]}
    return [{f"a.{suffix}": data} for suffix, each in named.items() for data in each]


def results() -> List[Files]:
    """Returns COCO's results: boxes alone, with masks, and with keypoints."""
    boxes = [{"image_id": f"shapes-0-{i:06d}", "category_id": 1 + i, "bbox": [1, 2, 30, 20.5],
              "score": 0.5} for i in (0, 0, 1)]  # fmt: skip
    masks = [{**box, "segmentation": rle()} for box in boxes]
    poses = [{**box, "keypoints": [3, 4.5, 0.9] * 4} for box in boxes]
    return [{"a.json": json.dumps(each).encode()} for each in (boxes, masks, poses)]


def proposals() -> List[Files]:
    """Returns proposals of two images, stored and compressed."""
    arrays = {
        "image_ids": np.array(["shapes-0-000000", "shapes-0-000001"]),
        "counts": np.array([1, 2]),
        "boxes": np.array([[0, 0, 9, 9], [1, 2, 3, 4], [0, 0, 5, 6]], np.float32),
        "scores": np.array([0.5, 0.9, 0.1], np.float32),
    }
    files: List[Files] = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)
        files.append({"a.npz": file.getvalue()})
    return files


def _tool(*words: object) -> None:
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}")


def _of_a_run(exported: bool) -> List[Files]:
    """Trains the smallest detector for a step; returns its checkpoint, or its export."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fuzz_net.py").write_text(PLUGIN)
        config = folder / "run.yaml"
        config.write_text(RUN)
        _tool(TOOLS / "train.py", config, "--work-dir", folder / "work")
        (made,) = (folder / "work/checkpoints").glob("step-*")
        if exported:
            _tool(TOOLS / "export.py", config, made, "--out", folder / "out", "--ops", "mxnet")
            made = folder / "out"
        files = (path for path in made.rglob("*") if path.is_file())
        return [{path.relative_to(made).as_posix(): path.read_bytes() for path in files}]


LAYOUTS = [name for name in layouts.FILES if name not in ("voc", "coco")]  # those are above

SEEDS: Dict[str, Callable[[], List[Files]]] = {
    "config": configs,
    "voc": voc,
    "coco": coco,
    **{name: functools.partial(layouts.seeds, name) for name in LAYOUTS},
    "images": images,
    "results": results,
    "proposals": proposals,
    "mat": mat,
    "pth": pth,
    "pkl": pkl,
    "params": params,
    "safetensors": safetensors,
    "checkpoint": lambda: _of_a_run(exported=False),
    "export": lambda: _of_a_run(exported=True),
    "onnx": onnx,
}
