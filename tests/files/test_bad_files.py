"""Wrong folders, files and checkpoints give status 1, no traceback, and a message that helps."""

import pickle
import shutil
import zipfile
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.errors import CheckpointError
from support import tiny
from support.torch_files import mapping, tensor, write_zip

# --- folders and files ----------------------------------------------------------------------------


def test_a_folder_that_holds_a_run_is_not_overwritten(refused, project):
    before = (project / "work/config.yaml").read_text()
    message = refused("train", "configs/tiny.yaml", "--work-dir", "work", "--set", "seed=9")
    tiny.assert_says(message, "work", "checkpoints", "--resume auto")
    assert (project / "work/config.yaml").read_text() == before


@pytest.mark.parametrize(
    ("work_dir", "found"),
    [("file", "found a file"), ("file/x", "Not a directory"), ("/proc/x", "No such file")],
)
def test_a_work_dir_that_cannot_be_written_to(refused, work_dir, found):
    Path("file").touch()
    message = refused("train", "configs/tiny.yaml", "--work-dir", work_dir)
    tiny.assert_says(message, f"{work_dir}: ", "writable folder", found, "permissions")


def test_outputs_of_the_other_tools_that_cannot_be_written(refused):
    Path("file").touch()
    cv2.imwrite("image.png", np.zeros((40, 40, 3), np.uint8))
    best = "work/checkpoints/best"
    for arguments in (
        ("test", "configs/tiny.yaml", best, "--out", "file/results.json"),
        ("test", "configs/tiny.yaml", best, "--work-dir", "file"),
        ("demo", "configs/tiny.yaml", best, "image.png", "--out", "file"),
    ):
        message = refused(*arguments)
        tiny.assert_says(message, "file: ", "writable folder", "found a file")
    message = refused("test", "configs/tiny.yaml", best, "--out", "work")
    tiny.assert_says(message, "work: ", "Is a directory")


def test_images_for_the_demo(refused):
    best = "work/checkpoints/best"
    Path("nothing").mkdir()
    Path("note.jpg").write_text("no image")
    Path("list.txt").write_text("no image")
    for path, fragments in {
        "nothing": ["no image", ".jpg, .jpeg"],
        "absent.png": ["no such file"],
        "note.jpg": ["JPEG, PNG", "8 bytes", "b'no image'"],
    }.items():
        message = refused("demo", "configs/tiny.yaml", best, path, "--out", "o")
        tiny.assert_says(message, f"{path}: ", *fragments)
    message = refused("demo", "configs/tiny.yaml", best, "list.txt", "--out", "o")
    tiny.assert_says(message, "list.txt:1: no image: ", "no such file")
    assert not any(Path("o").iterdir())


def test_results_that_are_none(refused):
    Path("list.json").write_text("[1]")
    Path("other.json").write_text('[{"image_id": 1, "category_id": 1, "bbox": [], "score": 1}]')
    for path, fragments in {
        "absent.json": ["No such file"],
        "configs/tiny.yaml": ["JSON"],
        "list.json": ["entry 0: ", "an object", "image_id"],
        "other.json": ["entry 0: ", "image_id", "found 1", "the dataset"],
    }.items():
        message = refused("evaluate", "configs/tiny.yaml", path)
        tiny.assert_says(message, f"{path}: ", *fragments)
    Path("part.yaml").write_text("model: {}")
    tiny.assert_says(refused("evaluate", "part.yaml", "list.json"), "'data' is missing")


# --- checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_that_is_none(refused):
    Path("file").touch()
    shutil.copytree(tiny.best("work"), "half")
    Path("half/SHA256SUMS").unlink()
    for path, fragments in {
        "absent": ["no such folder", "WORK_DIR/checkpoints"],
        "file": ["a file that names one", "another file"],
        "work": ["folder of a run", "work/checkpoints/step-00000003"],
        "half": ["complete", "SHA256SUMS"],
    }.items():
        resumed = ("configs/tiny.yaml", "--work-dir", "new", "--resume", path)
        tiny.assert_says(refused("train", *resumed), f"{path}: ", *fragments)
        tiny.assert_says(refused("test", "configs/tiny.yaml", path), f"{path}: ", *fragments)


def test_a_checkpoint_of_another_architecture(refused):
    other = ("--set", "model.roi_head.hidden=[8]")
    best = tiny.best("work")
    resumed = ("configs/tiny.yaml", "--work-dir", "new", "--resume", best, "--force")
    for arguments in (("train", *resumed), ("test", "configs/tiny.yaml", best)):
        tiny.assert_says(
            refused(*arguments, *other),
            f"{best}: ",
            "(4 differ",
            "roi_head.fc.0.weight: (16, 144)",
            "(8, 144)",
            f"{best}/config.yaml",
        )
    with pytest.raises(CheckpointError, match=f"{best}: .*network"):
        detkit.load(str(tiny.ROOT / "configs/faster_rcnn_vgg16.yaml"), best)


def test_a_disk_that_fills_while_saving(refused, project, monkeypatch):
    genuine = mx.nd.save

    def full(path, arrays):
        if "00000006" in path:
            raise OSError(28, "No space left on device")
        genuine(path, arrays)

    monkeypatch.setattr(mx.nd, "save", full)
    message = refused("train", "configs/tiny.yaml", "--work-dir", "work", "--resume", "auto")
    tiny.assert_says(
        message,
        "work/checkpoints/step-00000006: ",
        "the disk is full",
        "earlier checkpoints",
        "--resume auto",
    )
    assert tiny.checkpoints("work") == ["best", "step-00000003"]
    assert tiny.tool("test", "configs/tiny.yaml", "work/checkpoints/best") == 0
    monkeypatch.undo()
    monkeypatch.chdir(project)
    assert tiny.train("configs/tiny.yaml", "work", resume="auto") == 0


# --- pretrained weights ---------------------------------------------------------------------------


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("stolen"),))


def test_pretrained_weights(refused):
    with zipfile.ZipFile("evil.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(), protocol=2))
    write_zip("other.pth", mapping(**{"conv.weight": tensor()}))
    Path("text.pth").write_text("no weights")
    for weights, fragments in {
        "absent.pth": ["'absent.pth'", "no such file"],
        "vgg17": ["'vgg17'", "did you mean 'vgg1"],
        "3": ["a URL or null", "found 3"],
        "text.pth": ["text.pth: ", "torch.save"],
        "other.pth": ["other.pth: ", "missing in"],
        "evil.pth": ["evil.pth: ", "__builtin__.getattr"],
        "https://example.org/x.pth": ["https://example.org/x.pth#sha256="],
    }.items():
        override = f"model.backbone.pretrained={weights}"
        message = refused("train", "configs/tiny.yaml", "--dry-run", "--set", override)
        tiny.assert_says(
            message, f"error: --set {override}: model.backbone.pretrained: ", *fragments
        )
    assert not Path("stolen").exists()
