"""``detkit label``: what CVAT, Label Studio and LabelMe import is read back to the same boxes."""

import argparse
import json

import numpy as np
import pytest

from detkit.commands.label import folder_of, main, save_for
from detkit.data import CVAT, LabelMe, LabelStudio
from detkit.errors import DataError
from detkit.predictions import find_sources
from detkit.predictions.saves.cvat import mask_of
from support import tiny
from support.predicting import (
    CLASSES,
    FakeDetector,
    detections,
    results,
    with_masks,
    write_images,
    write_video,
)

TOOLS = ("cvat", "labelstudio", "labelme")


def arguments(to, out, *sources, **more):
    words = [str(each) for each in sources]
    given = {"sources": words, "model": "work/mine", "to": to, "out": str(out), "score": 0.5,
             "batch_size": 1, "images": "symlink", "prefix": None, "tiles": None}  # fmt: skip
    return argparse.Namespace(**{**given, **more})


def labelled(tmp_path, to, items, **more):
    """Saves the results for a tool; the dataset that they are."""
    out, images = tmp_path / "out", tmp_path / "images"
    out.mkdir()
    save = save_for(arguments(to, out, **more), CLASSES, images)
    for item in items:
        save.add(item)
    save.close()
    assert not list(out.rglob("*.part"))
    if to == "cvat":
        return CVAT(str(out / "annotations.xml"), str(images))
    if to == "labelstudio":
        return LabelStudio(str(out / "tasks.json"), str(images), CLASSES, predictions=True)
    return LabelMe(str(out), CLASSES)


@pytest.fixture
def items(tmp_path):
    """Three images, one of them in a folder, the last one without detections."""
    paths = [*write_images(tmp_path / "images", 2), *write_images(tmp_path / "images/größe x", 1)]
    return results(paths, [detections(1, 4), detections(2, 2), detections(3, 0)])


@pytest.mark.parametrize("to", TOOLS)
def test_boxes_are_read_back(tmp_path, items, to):
    dataset = labelled(tmp_path, to, items)
    assert dataset.class_names == CLASSES
    assert len(dataset) == 3 and dataset.bad_images == []
    numbers = {len(dataset.annotation(index).boxes): index for index in range(3)}
    for item in items:
        annotation = dataset.annotation(numbers[len(item.found)])
        # The per cent of Label Studio are rounded once more than corners are.
        exact = 1e-5 if to == "labelstudio" else 0
        np.testing.assert_allclose(annotation.boxes, item.found.boxes, rtol=0, atol=exact)
        np.testing.assert_array_equal(annotation.labels, item.found.labels)


@pytest.mark.parametrize("to", TOOLS)
def test_masks_are_read_back(tmp_path, to):
    (item,) = results(write_images(tmp_path / "images", 1), [with_masks(1)])
    dataset = labelled(tmp_path, to, [item])
    expected = np.stack([item.found.mask(row) >= 0.5 for row in range(3)])
    np.testing.assert_array_equal(dataset.masks(0), expected)


def test_the_runs_of_a_mask_are_those_of_its_rectangle():
    mask = np.zeros((6, 8), bool)
    mask[2, 3:6] = mask[3, 4] = True
    assert mask_of(mask) == {"rle": "0, 3, 1, 1, 1", "left": "3", "top": "2", "width": "3",
                             "height": "2"}  # fmt: skip
    assert mask_of(np.zeros((6, 8), bool)) == {}


def test_label_studio_has_scores_addresses_and_a_config(tmp_path, items):
    labelled(tmp_path, "labelstudio", items, prefix="https://h/p/")
    tasks = json.loads((tmp_path / "out/tasks.json").read_text(encoding="utf-8"))
    names = ["0.png", "1.png", "gr%C3%B6%C3%9Fe%20x/0.png"]
    assert [task["data"]["image"] for task in tasks] == [f"https://h/p/{name}" for name in names]
    (prediction,) = tasks[0]["predictions"]
    assert prediction["model_version"] == "mine"
    scores = [thing["score"] for thing in prediction["result"]]
    np.testing.assert_array_equal(np.float32(scores), items[0].found.scores)
    assert prediction["score"] == pytest.approx(np.mean(scores))
    config = (tmp_path / "out/labels.xml").read_text(encoding="utf-8")
    tiny.assert_says(config, '<RectangleLabels name="boxes" toName="image">', 'value="plättchen"')
    assert 'größe "x"' in config and "Polygon" not in config
    untouched = str(tmp_path / "out/tasks.json"), str(tmp_path / "images")
    with pytest.raises(DataError):  # without predictions, nobody has annotated anything
        LabelStudio(*untouched)


def test_the_folder_of_images_is_the_one_above_all(tmp_path):
    write_images(tmp_path / "a/b", 1)
    write_images(tmp_path / "a/c", 1)
    assert folder_of(find_sources([str(tmp_path / "a/b")])) == tmp_path / "a/b"
    assert folder_of(find_sources([str(tmp_path / "a/**/*.png")])) == tmp_path / "a"


def test_a_video_is_refused(tmp_path):
    write_video(tmp_path / "clip.avi", 1)
    with pytest.raises(DataError, match="expected images alone, found 1 video; detkit predict"):
        main(arguments("cvat", tmp_path / "out", tmp_path / "clip.avi"))


def test_the_command(tmp_path, monkeypatch, capsys):
    """A detector is loaded, images are labelled, and a damaged one is an error at the end."""
    paths = write_images(tmp_path / "images", 3)
    paths[1].write_bytes(b"no image")
    monkeypatch.setattr("detkit.commands.label.detector_of", lambda *_, **__: FakeDetector())
    with pytest.raises(DataError, match="1 of 3 images could not be read"):
        main(arguments("labelme", tmp_path / "out", tmp_path / "images"))
    assert f"{tmp_path / 'out'}: 2 images, 10 objects for labelme" in capsys.readouterr().out
    dataset = LabelMe(str(tmp_path / "out"))
    assert sum(len(dataset.annotation(index).labels) for index in range(len(dataset))) == 10
