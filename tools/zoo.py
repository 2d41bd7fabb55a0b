"""Measures configs: weights, multiply-adds and time per image; writes the table of a guide.

The weights are random, so that a detector computes its largest number of proposals and detections.
The image is 480 x 640, resized as the config says. Each config runs in a process of its own.
"""

import argparse
import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import detkit  # noqa: F401  # isort: skip  before MXNet

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from detkit.build import build_model, open_config
from detkit.build.load import detector_for
from detkit.cli import debug_argument, positive, run
from detkit.config.names import title
from detkit.data.readers.voc import VOC_CLASSES
from detkit.errors import DetkitError
from detkit.ops.convolution import CONV1X1, CONV3X3, DEPTHWISE
from detkit.registry import DATASETS

CONFIGS = Path(__file__).parents[1] / "configs"
BEGIN, END = "<!-- written by tools/zoo.py -->", "<!-- end -->"
HEADER = """\
| config | what | weights, M | GFLOPs | input | s per image |
|---|---|---|---|---|---|"""
COCO_CLASSES = 80
# MXNet's operators, and detkit's own convolutions, which replace some of them.
LAYERS = ("Convolution", "Deconvolution", "FullyConnected", CONV3X3, CONV1X1, DEPTHWISE)
SIZE = (480, 640)
PROPOSALS = 1000


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Prints a row for each config; with --write, puts the table into a guide."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", metavar="CONFIG", nargs="*", type=Path, help="default: all")
    parser.add_argument("--runs", type=positive, default=5, help="runs, of which the median counts")
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the table into a guide")
    debug_argument(parser)
    args = parser.parse_args(argv)
    rows = [HEADER]
    for path in args.configs or sorted(CONFIGS.rglob("*.yaml")):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(row(path, *pool.apply(measure, (path, args.runs))))
        print(rows[-1], flush=True)
    if args.write:
        write(args.write, "\n".join(rows))


def measure(path: Path, runs: int) -> Tuple[int, int, Tuple[int, ...], float]:
    """Returns weights, multiply-adds, (height, width) of the input, median seconds per image."""
    config = open_config(path)
    names = [str(label) for label in range(class_count(config["data"]["val"]))]
    model = build_model(config, names, mx.cpu(), pretrained=False)
    detector = detector_for(config, model, names, mx.cpu())
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*SIZE, 3), "uint8")
    batch = detector.batch([image], _proposals(model, rng))
    seconds = []
    for _ in range(1 + runs):
        start = time.perf_counter()
        detector.detect_batch(batch)
        seconds.append(time.perf_counter() - start)
    median = float(np.median(seconds[1:]))  # the first run prepares
    weights = sum(int(np.prod(p.shape)) for p in model.collect_params().values())
    shapes = {name: getattr(batch, name).shape for name in model.INPUTS}
    return weights, multiply_adds(model, shapes), batch.images.shape[2:], median


def _proposals(model: HybridBlock, rng: np.random.Generator) -> Optional[List[np.ndarray]]:
    """Returns boxes (R, 4) of one image for a network that takes proposals, else None."""
    if "proposals" not in model.INPUTS:
        return None
    corners = rng.uniform(0, [SIZE[1] / 2, SIZE[0] / 2], (PROPOSALS, 2))
    return [np.concatenate([corners, 2 * corners + 8], axis=1).astype("float32")]


def multiply_adds(model: HybridBlock, shapes: Mapping[str, Tuple[int, ...]]) -> int:
    """Returns the multiply-adds of one forward pass.

    Convolutions, deconvolutions and fully connected layers count. A multiplication with its
    addition counts once, like in torchvision's and Detectron2's tables.

    shapes: {name: shape} of the network's inputs, in its order.
    """
    outputs = model(*(mx.sym.var(name, shape=shape) for name, shape in shapes.items()))
    graph = outputs if isinstance(outputs, mx.sym.Symbol) else mx.sym.Group(list(outputs))
    described = json.loads(graph.tojson())
    nodes = described["nodes"]
    for number, node in enumerate(nodes):
        if node["op"] != "null":  # a layer that is called once for each level has one name
            node["name"] = f"node{number}"
    internals = mx.sym.load_json(json.dumps(described)).get_internals()
    _, sizes, _ = internals.infer_shape(**shapes)
    size_of = dict(zip(internals.list_outputs(), sizes))
    return sum(_of_node(node, nodes, size_of) for node in nodes)


def _of_node(
    node: Dict[str, Any], nodes: Sequence[Dict[str, Any]], size_of: Mapping[str, Tuple[int, ...]]
) -> int:
    if node["op"] not in LAYERS:
        return 0
    data, weight = (
        _size(nodes[source], index, size_of) for source, index, *_ in node["inputs"][:2]
    )
    # Each element of the output, or of a deconvolution's input, meets one filter.
    positions = data if node["op"] == "Deconvolution" else _size(node, 0, size_of)
    return int(np.prod(positions, dtype=np.int64) * np.prod(weight[1:], dtype=np.int64))


def _size(
    node: Dict[str, Any], index: int, size_of: Mapping[str, Tuple[int, ...]]
) -> Tuple[int, ...]:
    """Returns the shape of an output of a node; its name depends on the number of outputs."""
    name = node["name"]
    names = [n for n in (name, f"{name}_output", f"{name}_output{index}") if n in size_of]
    return size_of[names[0]]


def class_count(node: Mapping[str, Any]) -> int:
    """Returns how many classes the dataset of a config has, without the dataset's files."""
    if node.get("class_names"):
        return len(node["class_names"])
    if Path(node.get("annotations", "")).name.startswith("person_"):
        return 1  # COCO's keypoints are those of persons
    known = {"COCO": COCO_CLASSES, "VOC": len(VOC_CLASSES)}
    return known.get(node["type"]) or len(DATASETS.get(node["type"]).class_names)


def row(path: Path, weights: int, operations: int, size: Tuple[int, ...], seconds: float) -> str:
    """Returns a row of the table."""
    name = path.resolve().relative_to(CONFIGS.resolve())
    what = title(path)
    return (
        f"| [{name}]({name}) | {what} | {weights / 1e6:.1f} | {operations / 1e9:.1f} | "
        f"{size[0]} x {size[1]} | {seconds:.2f} |"
    )


def write(path: Path, table: str) -> None:
    """Writes the table between the two marks of a guide. Raises DetkitError without the marks."""
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise DetkitError(f"{path}: expected one line {BEGIN!r} and, after it, one line {END!r}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(main))
