"""``detkit init``: the config that it writes loads, fits the data and trains; and what it says."""

import json
import os
import re

import cv2
import numpy as np
import pytest
from mxnet.gluon import HybridBlock, nn

from detkit import cli
from detkit.build import build_dataset, open_config
from detkit.build.training import Training
from detkit.commands.line import main
from detkit.data.layouts import LAYOUTS
from detkit.data.presets import following, preset_for
from detkit.loading import load
from detkit.preflight import preflight
from detkit.registry import BACKBONES
from fuzz.layouts import FILES
from support import tiny
from support.layouts import make

# The network that a config names, with fewer channels and without ImageNet's weights.
SMALL = (
    "model.backbone={_delete_: true, type: SmallPyramid}",
    "model.neck.channels=8",
    "model.rpn_head.channels=8",
    "model.roi_head.hidden=[8]",
)


@BACKBONES.register(force=True)
class SmallPyramid(HybridBlock):
    """A convolution for each map of strides 4, 8, 16 and 32."""

    channels, strides = (4,) * 4, (4, 8, 16, 32)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for before, stride in ((3, 4), (4, 2), (4, 2), (4, 2)):
                self.layers.add(nn.Conv2D(4, 3, stride, 1, in_channels=before))

    def hybrid_forward(self, F, images):
        maps = [images]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps[1:]


def detkit(*words):
    return cli.run(main, list(map(str, words)))


def refused(capsys, *words):
    capsys.readouterr()
    assert detkit(*words) == 1
    return capsys.readouterr().err


def pictures(folder, count, seed=0, objects=lambda index: [["cat", 20, 30, 60, 80]]):
    """Images that differ, with a table of their objects; the folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["filename,class,xmin,ymin,xmax,ymax"]
    for index in range(count):
        small = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        image = cv2.resize(small, (128, 96), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index:03}.jpg"), image)
        rows += [",".join([f"{index:03}.jpg", *map(str, thing)]) for thing in objects(index)]
    (folder / "boxes.csv").write_text("\n".join(rows) + "\n")
    return folder


def names_of(config, split):
    """The file names of the images of a split, as the config reads them."""
    dataset = build_dataset(open_config(config), split)
    return {dataset.image_path(index).name for index in range(len(dataset))}


def test_the_number_of_images_proposes_a_preset_of_augmentation(tmp_path):
    assert detkit("init", pictures(tmp_path / "source", 24), "--out", tmp_path / "mine") == 0
    config = tmp_path / "mine/config.yaml"
    images = len(build_dataset(open_config(config), "train"))
    preset = preset_for(images)
    proposed = f"With {images} training images, try {preset}:"
    tiny.assert_says(config.read_text(), proposed, "  augment: null\n")
    for chosen, added in (("null", []), (preset, following(preset))):
        opened = open_config(config, [f"data.augment={chosen}"])
        kinds = [node["type"] for node in opened["data"]["train_transforms"]]
        assert kinds == ["Resize", "HorizontalFlip", *(node["type"] for node in added)]


@pytest.mark.parametrize("layout", sorted(set(FILES) - {"recordio"}))
def test_each_layout_becomes_a_config_that_passes_the_checks(tmp_path, layout, monkeypatch, capsys):
    make(tmp_path / "source", layout)
    monkeypatch.chdir(tmp_path)
    assert detkit("init", "source", "--out", "mine") == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, f"source: {layout} ({LAYOUTS[layout].has})", "cat 1, dog 2")
    tiny.assert_says(said, "there is no test set, because too few images have objects")
    tiny.assert_says(said, "detkit train mine/config.yaml --work-dir work_dirs/mine")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    training = Training(open_config(tmp_path / "mine/config.yaml", SMALL))
    lines = "\n".join(preflight(training))
    tiny.assert_says(lines, "classes  2: cat, dog", "no box dropped; no bad image")
    assert "warning" not in lines
    assert sum(len(d) for d in (training.train_set, training.val_set)) in (2, 3)


def test_packed_images_are_refused_with_what_to_do(tmp_path, capsys):
    make(tmp_path / "source", "recordio")
    message = refused(capsys, "init", tmp_path / "source", "--out", tmp_path / "mine")
    tiny.assert_says(message, "images in files", "recordio", "data.train", "--to coco")
    assert not (tmp_path / "mine").exists()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """40 images, 4 of them with a dog; the last 10 are copies of the first ones, saved again."""
    things = [["cat", 20, 30, 60, 80]]
    folder = pictures(
        tmp_path_factory.mktemp("init") / "source",
        40,
        objects=lambda n: things + [["dog", 50, 20, 100, 90]] * (n in (3, 11, 17, 25)),
    )
    for index in range(10):
        image = cv2.imread(str(folder / f"{index:03}.jpg"))
        cv2.imwrite(str(folder / f"{30 + index:03}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 60])
    return folder


def test_splits_are_stratified_grouped_and_seeded(source, tmp_path):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        assert detkit("init", source, "--out", tmp_path / name, "--seed", seed) == 0
    parts = {
        name: {split: names_of(tmp_path / name / "config.yaml", split) for split in cli.SPLITS}
        for name in ("one", "again", "other")
    }
    assert parts["one"] == parts["again"] != parts["other"]
    for found in parts.values():
        assert sorted(name for part in found.values() for name in part) == [
            f"{index:03}.jpg" for index in range(40)
        ]
        assert {split: len(part) for split, part in found.items()} == pytest.approx(
            {"train": 28, "val": 6, "test": 6}, abs=1
        )
        for index in range(10):
            pair = {f"{index:03}.jpg", f"{30 + index:03}.jpg"}
            assert any(pair <= part for part in found.values())
        for part in found.values():
            assert part & {f"{index:03}.jpg" for index in (3, 11, 17, 25)}


def test_splits_of_the_data_are_kept_and_a_missing_one_is_taken_from_train(tmp_path, capsys):
    for split, count, seed in (("train", 20, 0), ("valid", 5, 1)):
        pictures(tmp_path / "source" / split, count, seed)
    assert detkit("init", tmp_path / "source", "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    tiny.assert_says(
        said, "val   5 images, 5 objects, the data's own", "test  4 images, 4 objects, from train"
    )
    config = open_config(tmp_path / "out/config.yaml")
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "train")):
        dataset = build_dataset(config, split)
        assert {dataset.image_path(n).parent.name for n in range(len(dataset))} == {folder}


def test_near_duplicates_across_the_splits_of_the_data_are_told(tmp_path, capsys):
    for split, seed in (("train", 0), ("val", 1), ("test", 0)):
        pictures(tmp_path / "source" / split, 3, seed)
    assert detkit("init", tmp_path / "source", "--out", tmp_path / "out") == 0
    tiny.assert_says(
        capsys.readouterr().out, "train/000.jpg and ", "look the same", "2 other pairs"
    )


def test_chosen_classes_are_the_labels_in_their_order(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert detkit("init", source, "--out", out, "--classes", "dog") == 0
    tiny.assert_says(capsys.readouterr().out, "4 objects: dog 4", '"cat" is not in class_names')
    content = json.loads((out / "annotations/instances_train.json").read_text())
    assert [each["name"] for each in content["categories"]] == ["dog"]
    assert detkit("init", source, "--out", tmp_path / "b", "--classes", "dog,cat") == 0
    dataset = build_dataset(open_config(tmp_path / "b/config.yaml"), "val")
    assert dataset.class_names == ("dog", "cat")
    message = refused(capsys, "init", source, "--out", tmp_path / "c", "--classes", "Dogs")
    tiny.assert_says(message, "--classes: expected some of cat, dog, found 'Dogs'", "mean 'dog'")


def test_broken_files_are_counted_and_left_out(tmp_path, capsys):
    folder = pictures(tmp_path / "source", 12)
    (folder / "001.jpg").write_bytes(b"")
    data = bytearray((folder / "002.jpg").read_bytes())
    data[150:300] = bytes(150)  # begins and ends like a JPEG
    (folder / "002.jpg").write_bytes(data)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert detkit("init", folder, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "2 images left out:", "001.jpg: ", "002.jpg: ")
    used = [names_of(tmp_path / "out/config.yaml", split) for split in cli.SPLITS]
    assert len(set.union(*used)) == 10
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (
            lambda f: f.with_name("sources").mkdir(),
            ["FOLDER: expected a folder", "mean 'sources'"],
        ),
        (lambda f: f.mkdir(), ["an empty folder"]),
        (
            lambda f: [pictures(f, 3), (f / "boxes.csv").unlink()],
            ["expected annotations, found 3 images alone", "LabelMe", "detkit convert --help"],
        ),
        (lambda f: pictures(f, 1), ["at least 2 images with objects", "found 1", "annotate"]),
        (
            lambda f: [pictures(f, 3), *((f / f"00{n}.jpg").write_bytes(b"") for n in (0, 1))],
            ["most of which can be used, found 2 of 3", "000.jpg"],
        ),
        (lambda f: [make(f, "coco"), make(f, "yolo")], ["several", "--layout"]),
    ],
)
def test_a_folder_that_cannot_be_used_says_what_to_do(tmp_path, prepare, says, capsys):
    prepare(tmp_path / "source")
    message = refused(capsys, "init", tmp_path / "source", "--out", tmp_path / "out")
    tiny.assert_says(message, *says)
    assert not (tmp_path / "out").exists()


def test_an_image_whose_name_is_no_text_is_left_out(tmp_path, capsys):
    folder = os.fsencode(make(tmp_path / "source", "voc-folder"))
    for suffix in (b".jpg", b".xml"):
        os.rename(folder + b"/c" + suffix, folder + b"/c\xff" + suffix)
    assert detkit("init", tmp_path / "source", "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "1 image left out:", "c\\udcff.jpg: expected a name in UTF-8")


def test_files_of_the_user_are_kept(tmp_path, capsys):
    source, out = pictures(tmp_path / "source", 6), tmp_path / "out"
    out.mkdir()
    (out / "config.yaml").write_text("mine")
    tiny.assert_says(refused(capsys, "init", source, "--out", out), "--out: ", "--force")
    tiny.assert_says(refused(capsys, "init", source, "--out", source / "new"), "outside of")
    tiny.assert_says(refused(capsys, "init", source, "--out", out / "config.yaml"), "a file")
    for _ in range(2):
        assert detkit("init", source, "--out", out, "--force") == 0
    assert (out / "config.yaml.1").read_text() == "mine"
    assert (out / "config.yaml.2").read_text() == (out / "config.yaml").read_text()


def test_names_that_are_no_plain_yaml(tmp_path):
    folder = pictures(tmp_path / "a${HOME} # b: 'c'", 6, objects=lambda n: [["k: #{x", 1, 1, 9, 9]])
    out = tmp_path / 'o"ut'
    assert detkit("init", folder, "--out", out) == 0
    assert build_dataset(open_config(out / "config.yaml"), "train").class_names == ("k: #{x",)


@pytest.mark.slow
def test_from_a_folder_to_a_result(tmp_path, monkeypatch, capsys):
    """The commands of the README, with few steps and a backbone without weights."""
    pictures(tmp_path / "photos", 8)
    monkeypatch.chdir(tmp_path)
    assert detkit("init", "photos", "--out", "mine") == 0
    words = ["mine/config.yaml", "--work-dir", "run", "--time", "2s", "--set", *SMALL]
    assert detkit("train", *words) == 0
    assert detkit("test", "run", "--split", "test") == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert (result["split"], result["images"], result["objects"]) == ("test", 1, 1)
    assert "AP50" in capsys.readouterr().out


@pytest.mark.slow
def test_the_first_commands_of_the_readme_end_with_files_to_ship(tmp_path, monkeypatch):
    first, _, _ = (tiny.ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")
    lines = re.findall(r"^    detkit (.*)", first.replace("\\\n", ""), re.MULTILINE)
    assert len(lines) == 3
    pictures(tmp_path / "photos", 8)
    monkeypatch.chdir(tmp_path)
    for line in lines:
        fewer = ["--set", *SMALL] * line.startswith("train")
        assert detkit(*line.replace("45m", "2s").split(), *fewer) == 0
    assert {"model.json", "model.onnx"} <= set(os.listdir("exported"))
    shipped = load("exported")
    assert shipped.threshold is not None and shipped.class_names == ("cat",)
