"""What wrong folders, files and checkpoints get: status 1, no traceback, a message that helps."""

import pickle
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import detkit
from detkit.errors import CheckpointError
from detkit.files import checkpoint as checkpoint_module
from support import tiny
from support.torch_files import mapping, tensor, write_zip

# --- folders and files ----------------------------------------------------------------------------


def test_a_folder_that_holds_a_run_is_not_overwritten(refused, project):
    before = (project / "work/config.yaml").read_text()
    message = refused("train", "configs/tiny.yaml", "--work-dir", "work", "--set", "seed=9")
    tiny.assert_says(message, "work holds a run with checkpoints; --resume auto goes on with it")
    assert (project / "work/config.yaml").read_text() == before


@pytest.mark.parametrize(
    ("work_dir", "found"),
    [("file", "a file of that name"), ("file/x", "Not a directory"), ("/proc/x", "No such file")],
)
def test_a_work_dir_that_cannot_be_written_to(refused, work_dir, found):
    Path("file").touch()
    message = refused("train", "configs/tiny.yaml", "--work-dir", work_dir)
    tiny.assert_says(
        message, f"{work_dir}: expected a folder that can be written to, found: {found}"
    )
    tiny.assert_says(message, "name another one, or mend its permissions")


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
        tiny.assert_says(message, "file: expected a folder that can be written to, found: a file")
    message = refused("test", "configs/tiny.yaml", best, "--out", "work")
    tiny.assert_says(message, "work: results cannot be written: Is a directory")


def test_images_for_the_demo(refused):
    Path("nothing").mkdir()
    Path("note.txt").write_text("no image")
    for path, found in {
        "nothing": "nothing: the folder has no image (.jpg, .jpeg",
        "absent.png": "absent.png: no such file",
        "note.txt": "note.txt: 8 bytes that are no image: expected JPEG, PNG",
    }.items():
        best = "work/checkpoints/best"
        tiny.assert_says(refused("demo", "configs/tiny.yaml", best, path, "--out", "o"), found)
    assert not Path("o").exists()


def test_results_that_are_none(refused):
    Path("list.json").write_text("[1]")
    Path("other.json").write_text('[{"image_id": 1, "category_id": 1, "bbox": [], "score": 1}]')
    for path, found in {
        "absent.json": "absent.json: results cannot be read: No such file",
        "configs/tiny.yaml": "configs/tiny.yaml: not a JSON file",
        "list.json": "list.json: entry 0: expected an object with image_id",
        "other.json": "other.json: entry 0: image_id 1 is not in the dataset, whose ids are l",
    }.items():
        tiny.assert_says(refused("evaluate", "configs/tiny.yaml", path), found)
    Path("part.yaml").write_text("model: {}")
    tiny.assert_says(refused("evaluate", "part.yaml", "list.json"), "the key 'data' is missing")


# --- checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_that_is_none(refused):
    Path("file").touch()
    shutil.copytree("work/checkpoints/best", "half")
    Path("half/SHA256SUMS").unlink()
    for path, found in {
        "absent": "absent: there is no such checkpoint folder; a run keeps its own in WORK_DIR",
        "file": "file: there is no such checkpoint folder",
        "work": "work: is the folder of a run, expected one of its checkpoints: work/",
        "half": "half: the checkpoint is incomplete: it has no readable SHA256SUMS",
    }.items():
        resumed = ("configs/tiny.yaml", "--work-dir", "new", "--resume", path)
        tiny.assert_says(refused("train", *resumed), found)
        tiny.assert_says(refused("test", "configs/tiny.yaml", path), found)


def test_a_checkpoint_of_another_architecture(refused):
    other = ("--set", "model.roi_head.hidden=[8]")
    best = "work/checkpoints/best"
    resumed = ("configs/tiny.yaml", "--work-dir", "new", "--resume", best)
    for arguments in (("train", *resumed), ("test", "configs/tiny.yaml", best)):
        tiny.assert_says(
            refused(*arguments, *other),
            f"{best}: the checkpoint is of another network than the config describes (4 differ",
            "roi_head.fc.0.weight: (16, 144) in the checkpoint, (8, 144) in the network",
            f"Use the config it was trained with: {best}/config.yaml",
        )
    with pytest.raises(CheckpointError, match="of another network"):
        detkit.load(str(tiny.ROOT / "configs/faster_rcnn_vgg16.yaml"), best)


def test_a_disk_that_fills_while_saving(refused, project, monkeypatch):
    genuine = checkpoint_module._write

    def full(path, text):
        if "00000006" in path:
            raise OSError(28, "No space left on device")
        genuine(path, text)

    monkeypatch.setattr(checkpoint_module, "_write", full)
    message = refused("train", "configs/tiny.yaml", "--work-dir", "work", "--resume", "auto")
    tiny.assert_says(
        message,
        "work/checkpoints/step-00000006: the checkpoint could not be saved: the disk is full",
        "earlier checkpoints are as they were: make room",
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
    for weights, found in {
        "absent.pth": "weights 'absent.pth': there is no such file",
        "vgg17": "neither a file nor a known name; did you mean",
        "3": "expected a name, a path, a URL or null, found 3",
        "text.pth": "pretrained: text.pth: not a file of torch.save",
        "other.pth": "pretrained: other.pth: weights missing in the file (",
        "evil.pth": "pretrained: evil.pth: its pickle asks for __builtin__.getattr, which is not",
        "http://example.org/x.pth": "a download must be checked; write http://example.org/x.pth#sh",
    }.items():
        override = f"model.backbone.pretrained={weights}"
        message = refused("train", "configs/tiny.yaml", "--dry-run", "--set", override)
        tiny.assert_says(message, f"error: --set {override}: model.backbone.pretrained: ", found)
    assert not Path("stolen").exists()
