"""Trains torchvision's Faster R-CNN for tools/lineage.py; it needs no detkit.

The detector is torchvision's own with MobileNetV2 up to stride 16. It has its defaults but for what
the job of tools/lineage.py names: sizes of images, anchors, samples and the schedule. The script
saves its state after each epoch and goes on from it. It writes COCO results of the test images.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

LAST_BLOCK = 14  # of features[:14], stride 16
CHANNELS = 96
HIDDEN = 1024


def make_model(job: Dict[str, Any]) -> FasterRCNN:
    """Returns the detector with ImageNet's weights; batch norms keep their statistics."""
    network = torchvision.models.mobilenet_v2(weights=None)
    network.load_state_dict(torch.load(job["weights"], weights_only=True))
    backbone = network.features[:LAST_BLOCK]
    backbone.out_channels = CHANNELS
    classes = job["classes"] + 1
    return FasterRCNN(
        backbone,
        min_size=job["short"],
        max_size=job["long"],
        rpn_anchor_generator=AnchorGenerator((tuple(job["anchors"]),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        box_head=TwoMLPHead(CHANNELS * 49, HIDDEN),
        box_predictor=FastRCNNPredictor(HIDDEN, classes),
        box_batch_size_per_image=job["rois"],
    )


def set_training(model: FasterRCNN) -> None:
    """Puts the model into training, but its batch norms into testing."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


def read_image(job: Dict[str, Any], name: str) -> torch.Tensor:
    """Returns the pixels (3, H, W) float32 in [0, 1]."""
    image = Image.open(Path(job["folder"], f"{name}.jpg")).convert("RGB")
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).astype("float32") / 255)


def target_of(image: Dict[str, Any]) -> Dict[str, torch.Tensor]:
    """Returns the boxes (G, 4) and the labels (G,), which count from 1, of an image of the job."""
    boxes = torch.tensor(image["boxes"], dtype=torch.float32).reshape(-1, 4)
    return {"boxes": boxes, "labels": torch.tensor(image["labels"], dtype=torch.int64) + 1}


def rate_of(job: Dict[str, Any], step: int, steps: int) -> float:
    """Returns the learning rate of a step, counted from 0."""
    rate = job["lr"] * (0.1 if step >= job["drop"] * steps else 1.0)
    warmup = job["warmup_steps"]
    return rate * min(1.0, (step + 1) / warmup)


def flipped(image: torch.Tensor, target: Dict[str, torch.Tensor]) -> Tuple[torch.Tensor, Any]:
    """Returns the mirrored image with its boxes."""
    boxes = target["boxes"].clone()
    boxes[:, [0, 2]] = image.shape[2] - boxes[:, [2, 0]]
    return image.flip(2), {**target, "boxes": boxes}


def train(job: Dict[str, Any], model: FasterRCNN, state_path: Path) -> None:
    """Trains to the end; an interrupted run goes on after its last whole epoch."""
    images = job["train"]
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(weights, job["lr"], momentum=0.9, weight_decay=job["weight_decay"])
    first = 0
    if state_path.is_file():
        state = torch.load(state_path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"]
    for epoch in range(first, job["epochs"]):
        set_training(model)
        order = np.random.default_rng((job["seed"], epoch))
        torch.manual_seed(1000 * job["seed"] + epoch)
        began = time.time()
        for place, index in enumerate(order.permutation(len(images))):
            image, target = read_image(job, images[index]["name"]), target_of(images[index])
            if order.random() < 0.5:
                image, target = flipped(image, target)
            step = epoch * len(images) + place
            for group in optimizer.param_groups:
                group["lr"] = rate_of(job, step, job["epochs"] * len(images))
            losses = model([image], [target])
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: {time.time() - began:.0f} s", flush=True)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        part = state_path.with_suffix(".part")
        torch.save({**state, "epoch": epoch + 1}, part)
        part.replace(state_path)


def detect(job: Dict[str, Any], model: FasterRCNN, path: Path) -> None:
    """Writes the detections of the test images as COCO results, with the seconds of an image."""
    model.eval()
    found: List[Dict[str, Any]] = []
    taken = []
    with torch.no_grad():
        for name in job["val"]:
            image = read_image(job, name)
            began = time.perf_counter()
            (result,) = model([image])
            taken.append(time.perf_counter() - began)
            rows = zip(*(result[key].tolist() for key in ("boxes", "scores", "labels")))
            for (left, top, right, bottom), score, label in rows:
                box = [left, top, right - left, bottom - top]
                row = {"image_id": name, "category_id": label, "bbox": box, "score": score}
                found.append(row)
    path.write_text(json.dumps(found))
    path.with_suffix(".time.json").write_text(json.dumps({"ms": 1000 * float(np.median(taken))}))


def main() -> None:
    """Trains and detects as the job, a JSON file, says."""
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    model = make_model(job)
    folder = Path(sys.argv[1]).parent
    train(job, model, folder / "state.pt")
    detect(job, model, folder / "detections.json")


if __name__ == "__main__":
    main()
