"""A detector with one more head beside the boxes: what it learns, and the tools that use it."""

import json

import cv2

import detkit
from detkit.build.training import Training
from detkit.config import load_config
from detkit.data import Shapes
from detkit.plugins import import_plugins
from support import tiny

TWO_IMAGES = "{type: Shapes, length: 2, size: [64, 64], seed: 1, max_objects: 2, min_object: 0.3}"
BY_HEART = (
    f"data.train={TWO_IMAGES}",
    f"data.val={TWO_IMAGES}",
    "data.train_transforms=[]",
    "model.roi_head.hidden=[64]",
    "model.roi_head.dropout=0",
    "model.anchors.sizes=[16, 32]",
    "train.epochs=300",
    "train.batch_size=2",
    "train.schedule={type: CosineSchedule, warmup_steps: 10}",
    "train.evaluate_every=300",
    "train.log_every=300",
    "train.pictures=0",
    "train.keep=1",
)


def learnt(folder, *overrides):
    """The metrics after a training that learns two images by heart."""
    config = load_config(tiny.project(folder), (*overrides, *BY_HEART))
    import_plugins(config)
    runner = Training(config).runner(str(folder / "run"))
    runner.run()
    return runner.metrics


def used_by_the_tools(folder, capsys, *overrides):
    """A detector is trained, tested, evaluated and drawn.

    Returns the first record of the training, the table of the test, the entries of its results,
    and the Detections of an image of 50 x 90 pixels.
    """
    config, work = tiny.project(folder), folder / "work"
    assert tiny.train(config, work, *overrides, "model.postprocess.score_floor=0") == 0
    config, best = work / "config.yaml", work / "checkpoints/step-00000006"
    assert tiny.tool("test", config, best, "--out", folder / "found.json") == 0
    table = capsys.readouterr().out
    assert tiny.tool("evaluate", config, folder / "found.json") == 0
    assert capsys.readouterr().out.strip() in table
    image = Shapes(1, size=(50, 90)).image(0)
    cv2.imwrite(str(folder / "a.png"), image)
    arguments = (config, best, folder / "a.png", "--out", folder / "drawn", "--score", 0)
    assert tiny.tool("demo", *arguments) == 0
    assert cv2.imread(str(folder / "drawn/a.png")).shape == (50, 90, 3)
    (found,) = detkit.load(config, best).detect([image])
    assert len(found.boxes) > 0
    entries = json.loads((folder / "found.json").read_text())
    return tiny.records(work, "train")[0], table, entries, found
