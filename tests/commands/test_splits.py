"""``data.test``: images that a training does not read, and that ``--split test`` judges."""

import json
import shutil

import cv2
import numpy as np
import pytest

from detkit.build import build_dataset, build_loader, build_proposals, check_parts, open_config
from detkit.data import COCO
from detkit.data.readers.lists import part_of
from detkit.errors import ConfigError, DataError
from support import tiny
from support.projects import fast_rcnn

TEST = "data.test={type: Shapes, length: 5, size: [64, 64], seed: 9}"


@pytest.fixture
def copy(reference, tmp_path):
    """A run that a test may write into."""
    return shutil.copytree(reference, tmp_path / "copy")


def result_of(run):
    return json.loads((run / "result.json").read_text())


def test_a_run_is_judged_on_the_images_of_data_test(copy, capsys):
    assert tiny.tool("test", copy, "--split", "test", "--set", TEST) == 0
    result = result_of(copy)
    assert (result["split"], result["images"], result["skipped"]) == ("test", 5, 0)
    best = json.loads((copy / "checkpoints/best").read_text())["checkpoint"]
    assert result["checkpoint"] == best
    dataset = build_dataset(open_config(copy / "config.yaml", [TEST]), "test")
    assert result["objects"] == sum(len(dataset.annotation(i).labels) for i in range(5))
    assert f"written: {copy}/result.json" in capsys.readouterr().out
    # A figure of val takes its place, and says so.
    assert tiny.tool("test", copy / "checkpoints/best") == 0
    assert (result_of(copy)["split"], result_of(copy)["images"]) == ("val", 4)


def test_saved_detections_of_test_images_are_evaluated_by_the_run(copy, tmp_path, capsys):
    found = tmp_path / "found.json"
    arguments = ("--split", "test", "--set", TEST)
    assert tiny.tool("test", copy, *arguments, "--out", found) == 0
    table = capsys.readouterr().out.split("written:")[0]
    assert tiny.tool("evaluate", copy, found, *arguments) == 0
    assert capsys.readouterr().out == table


def test_test_images_are_prepared_as_those_of_val(config):
    config = open_config(config, [TEST, "data.train_transforms=[{type: VerticalFlip}]"])
    loader = build_loader(config, "test", build_dataset(config, "test"), 1)
    assert (loader.transforms, loader.shuffle) == ((), False)


def test_a_config_without_test_images_says_what_to_add(config, copy, capsys):
    with pytest.raises(ConfigError) as caught:
        build_dataset(open_config(config), "test")
    tiny.assert_says(str(caught.value), "tiny.yaml:", "data", "key test", "data.test=")
    assert tiny.tool("test", copy, "--split", "test") == 1
    tiny.assert_says(capsys.readouterr().err, "error:", "key test")


def test_a_config_alone_is_no_run(config, capsys):
    with pytest.raises(SystemExit):
        tiny.tool("test", "faster_rcnn_vgg16")
    tiny.assert_says(capsys.readouterr().err, "CHECKPOINT", "'faster_rcnn_vgg16'")
    assert tiny.tool("test", config) == 1
    tiny.assert_says(capsys.readouterr().err, "tiny.yaml", "folder of a run", "a config")


def test_an_export_alone_does_not_name_its_data(tmp_path, capsys):
    (tmp_path / "model.json").write_text("{}")
    assert tiny.tool("test", tmp_path) == 1
    tiny.assert_says(capsys.readouterr().err, str(tmp_path), "found an export", "CONFIG EXPORT")


def test_proposals_of_test_images_are_for_a_detector_that_takes_them(config, tmp_path):
    own = open_config(config, ["data.test_proposals={path: x.npz}"])
    with pytest.raises(ConfigError) as caught:
        check_parts(own)
    tiny.assert_says(str(caught.value), "data.test_proposals", "makes its own", "remove it")

    overrides = fast_rcnn(tmp_path, config)
    (path,) = [each.split("=", 1)[1] for each in overrides if each.startswith("data.val_proposals")]
    val = open_config(config, overrides)["data"]["val"]
    same = (
        f"data.test={{type: Shapes, length: {val['length']}, size: [64, 64], seed: {val['seed']}}}"
    )
    given = open_config(config, [*overrides, same, f"data.test_proposals={path}"])
    check_parts(given)
    found = [build_proposals(given, each, build_dataset(given, each)) for each in ("val", "test")]
    assert set(found[0]) == set(found[1]) != set()
    for image_id, boxes in found[0].items():
        np.testing.assert_array_equal(boxes, found[1][image_id])


# --- image_part -----------------------------------------------------------------------------------


def test_parts_have_no_image_in_common_and_all_together():
    names = [f"{number}.jpg" for number in range(97)]
    cuts = [0, 0.3, 0.31, 0.8, 1]
    parts = [part_of(names, pair, "a.json") for pair in zip(cuts, cuts[1:])]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 97
    assert list(map(len, parts)) == np.diff(np.round(np.multiply(cuts, 97))).tolist()
    assert part_of(names[::-1], [0, 0.3], "a.json") == parts[0]  # whatever the order of the file
    assert parts[0] != set(names[: len(parts[0])])


@pytest.mark.parametrize("part", [[0.5, 0.5], [-0.1, 1], [0, 1.1], [0.5], [0.8, 0.2]])
def test_other_numbers_are_refused(part):
    with pytest.raises(ValueError, match="image_part: expected .begin, end."):
        part_of(["a"], part, "a.json")


def test_a_part_without_an_image_is_an_error():
    with pytest.raises(DataError, match="a.json: expected an image in image_part"):
        part_of(["a"], [0, 0.1], "a.json")


def test_coco_reads_a_part(tmp_path):
    images = [
        {"id": number, "file_name": f"{number}.png", "width": 8, "height": 8}
        for number in range(10)
    ]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [0, 0, 4, 4]} for n in range(10)]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "a"}]}
    file = tmp_path / "all.json"
    file.write_text(json.dumps(content))
    for image in images:
        cv2.imwrite(str(tmp_path / image["file_name"]), np.zeros((8, 8, 3), np.uint8))
    parts = [COCO(str(file), str(tmp_path), image_part=p) for p in ([0, 0.8], [0.8, 1])]
    ids = [[each.annotation(i).image_id for i in range(len(each))] for each in parts]
    assert list(map(len, ids)) == [8, 2]
    assert sorted(ids[0] + ids[1]) == list(range(10))
