"""convert_weights: what is written trains, tests and detects as the converter's detector does."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import detkit
from detkit import converters, weights
from detkit.build import build_dataset, check_parts, check_sections
from detkit.checkpoints import load_checkpoint
from detkit.config import load_config
from detkit.converters import from_torchvision, run_folder
from detkit.converters.recipes import RECIPES, load_recipe
from detkit.data.readers.voc import VOC_CLASSES
from detkit.detections.coco_labels import COCO_CLASSES
from detkit.errors import WeightsError
from support import backbones, tiny
from support.environment import SHARED
from support.torchvision_models import IMAGE, SMALL, shapes_of

PREDICTOR = "roi_heads.box_predictor."
NAMES = ("__background__", "cat", "N/A", "dog")
COCO_SMALL = SHARED / "data" / "coco_small"


@pytest.fixture(scope="module")
def state():
    """Weights of the smallest model, four labels of which one is no class and never found."""
    shapes = shapes_of(SMALL, len(NAMES))
    state = {name: backbones.filling(name, shape) for name, shape in shapes.items()}
    state[f"{PREDICTOR}cls_score.weight"][2] = 0
    state[f"{PREDICTOR}cls_score.bias"][2] = -40
    return state


@pytest.fixture(scope="module")
def detector(state):
    return from_torchvision(SMALL, state, NAMES)


@pytest.fixture
def converted(state, monkeypatch):
    """The converter as it would read a file that holds ``state``; the files it is asked for."""
    asked = []

    def convert(name, file, class_names=None, device="auto"):
        asked.append(file)
        return from_torchvision(name, state, class_names or NAMES, device=device)

    monkeypatch.setattr(converters, "from_torchvision", convert)
    return asked


def same(found, expected):
    """The same detections, by labels and by names."""
    assert len(expected) > 0
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.names, expected.names)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)


def test_what_is_written_detects_the_same(detector, tmp_path):
    config, checkpoint = run_folder.save_run(detector, str(tmp_path / "run"))
    loaded = detkit.load(config, checkpoint)
    assert loaded.class_names == ("cat", "dog")
    expected, found = (each.detect_batch(each.batch([IMAGE]))[0] for each in (detector, loaded))
    same(found, expected)
    assert {"cat", "dog"} >= {expected.class_names[label] for label in expected.labels}
    assert load_checkpoint(checkpoint).progress == (0, 0, 0)
    assert detkit.load(tmp_path / "run").detect(IMAGE) == found


def test_torchvisions_numbers_are_not_written(state, tmp_path):
    numbered = from_torchvision(SMALL, state, labels="torchvision")
    with pytest.raises(WeightsError, match="labels='torchvision'"):
        run_folder.save_run(numbered, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not COCO_SMALL.is_dir(), reason=f"{COCO_SMALL} is not there")
def test_the_classes_are_those_of_the_dataset_in_its_order(monkeypatch, tmp_path):
    monkeypatch.setenv("COCO_ROOT", str(COCO_SMALL))
    (tmp_path / "config.yaml").write_text(run_folder.config_text(load_recipe(SMALL), COCO_CLASSES))
    dataset = build_dataset(load_config(tmp_path / "config.yaml"), "val")
    assert tuple(dataset.class_names) == COCO_CLASSES


@pytest.mark.parametrize(
    "recipe", sorted(path.stem for path in RECIPES.glob("*.yaml") if "training" not in path.stem)
)
def test_every_recipe_becomes_a_whole_config(recipe, monkeypatch, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(run_folder.config_text(load_recipe(recipe), COCO_CLASSES))
    monkeypatch.delenv("COCO_ROOT", raising=False)
    config = load_config(path)
    check_sections(config)
    check_parts(config)
    assert config["model"] == load_recipe(recipe)["model"]
    assert config["data"]["train"]["images"] == "data/coco/train2017"
    monkeypatch.setenv("COCO_ROOT", "/elsewhere")
    assert load_config(path)["data"]["train"]["images"] == "/elsewhere/train2017"
    (testing,) = config["data"]["val_transforms"]
    *training, flip = config["data"]["train_transforms"]
    assert training == [{key: testing[key] for key in ("type", "short", "long")}]
    assert flip == {"type": "HorizontalFlip"}


def test_a_detector_of_keypoints_is_trained_on_persons(monkeypatch, tmp_path):
    monkeypatch.setenv("COCO_ROOT", "/coco")
    path = tmp_path / "config.yaml"
    path.write_text(run_folder.config_text(load_recipe("keypointrcnn_resnet50_fpn"), ("person",)))
    for split in ("train", "val"):
        file = f"/coco/annotations/person_keypoints_{split}2017.json"
        assert load_config(path)["data"][split]["annotations"] == file


def test_a_detector_of_voc_is_trained_on_voc(monkeypatch, tmp_path):
    monkeypatch.setenv("VOC_ROOT", "/voc")
    path = tmp_path / "config.yaml"
    path.write_text(run_folder.config_text(load_recipe(SMALL), VOC_CLASSES))
    config = load_config(path)
    check_sections(config)
    assert config["data"]["val"] == {"type": "VOC", "root": "/voc", "splits": ["VOC2007/test"]}


# --- The tool -----------------------------------------------------------------------------------


def coco(folder):
    """Two images of cats and dogs in COCO's layout."""
    entries, images = [], []
    for number in (1, 2):
        image = np.full((48, 64, 3), 90 * number, np.uint8)
        for split in ("train2017", "val2017"):
            Path(folder, split).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(Path(folder, split, f"{number}.png")), image)
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 48})
        box = {"image_id": number, "bbox": [8, 8, 40, 32], "category_id": 16 + number}
        entries.append({"id": number, "iscrowd": 0, **box})
    categories = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
    content = {"images": images, "annotations": entries, "categories": categories}
    Path(folder, "annotations").mkdir()
    for split in ("train2017", "val2017"):
        Path(folder, f"annotations/instances_{split}.json").write_text(json.dumps(content))
    return str(folder)


def test_the_tools_take_what_it_writes(converted, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COCO_ROOT", coco(tmp_path / "coco"))
    out = tmp_path / "run"
    assert tiny.tool("convert_weights", "torchvision", SMALL, "file.pth", "--out", out) == 0
    assert converted == ["file.pth"]
    config, checkpoint = out / "config.yaml", out / "checkpoints/step-00000000"
    printed = capsys.readouterr().out
    assert f"written: {config}, {checkpoint}" in printed
    assert f"detkit train {config} --work-dir {out} --resume auto" in printed

    assert tiny.tool("test", config, checkpoint) == 0
    assert set(json.loads((out / "result.json").read_text())["per_class"]) == {"cat", "dog"}
    image = tmp_path / "coco/val2017/1.png"
    assert tiny.tool("demo", config, checkpoint, image, "--out", tmp_path / "drawn") == 0
    small = ("data.train_transforms.0.short=64", "data.train_transforms.0.long=64")
    small += ("data.val_transforms.0.short=64", "data.val_transforms.0.long=64")
    small += ("train_step.roi_targets.sampler.size=16", "data.workers=0", "train.epochs=1")
    assert tiny.train(config, out, *small, resume="auto") == 0
    assert f"{checkpoint}, step 0" in capsys.readouterr().out
    before, after = (
        load_checkpoint(str(out / f"checkpoints/step-0000000{step}")).weights for step in (0, 1)
    )
    changed = {name for name in before if (before[name] != after[name]).asnumpy().any()}
    assert "roi_head.classes.weight" in changed
    assert not any("running" in name for name in changed)


def test_names_of_classes_are_given_in_the_files_order(converted, tmp_path):
    arguments = ("torchvision", SMALL, "x", "--out", tmp_path, "--classes", "a", "b", "c")
    assert tiny.tool("convert_weights", *arguments) == 0
    checkpoint = load_checkpoint(str(tmp_path / "checkpoints/step-00000000"))
    assert checkpoint.class_names == ("a", "b", "c")


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints"])
def test_a_run_is_not_replaced(converted, tmp_path, capsys, name):
    (tmp_path / name).mkdir()
    message = tiny.refused(capsys, "convert_weights", "torchvision", SMALL, "x", "--out", tmp_path)
    tiny.assert_says(message, f"{tmp_path}/{name}: ", "already", "name another folder")
    assert not converted


def test_what_cannot_be_read_leaves_no_folder(tmp_path, capsys):
    (tmp_path / "bad.pkl").write_bytes(b"nothing")
    out = tmp_path / "run"
    for file, said in (("bad.pkl", "damaged"), ("none.pkl", "no such file")):
        arguments = ("detectron2", "faster_rcnn_R_50_FPN_1x", tmp_path / file, "--out", out)
        tiny.assert_says(tiny.refused(capsys, "convert_weights", *arguments), file, said)
    message = tiny.refused(capsys, "convert_weights", "torchvision", "resnet", "x", "--out", out)
    tiny.assert_says(message, "'resnet'", SMALL)
    assert not out.exists()


def test_an_out_that_is_a_file(converted, tmp_path, capsys):
    (tmp_path / "file").touch()
    arguments = ("convert_weights", "torchvision", SMALL, "x", "--out", tmp_path / "file")
    message = tiny.refused(capsys, *arguments)
    tiny.assert_says(message, f"{tmp_path}/file/", "writable folder", "Not a directory")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("caffe", "x", "y", "--out", "z"), "invalid choice: 'caffe'"),
        (("detectron2", "x", "--out", "z"), "FILE: expected the weights that detectron2 publishes"),
        (("torchvision", "x", "y"), "--out"),
    ],
)
def test_wrong_arguments(arguments, said, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool("convert_weights", *arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", converters.__all__)
def test_converters_are_found_where_they_were(name):
    assert getattr(weights, name) is getattr(converters, name)
