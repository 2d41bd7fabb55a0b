"""The tool that proposes without a network, and what is trained and judged on its files."""

import json

import cv2
import numpy as np
import pytest

from detkit.build import build_dataset, open_config
from detkit.data import OneClass, load_proposals
from detkit.data.proposers import sliding_windows
from detkit.detections.results import load_results
from detkit.evaluate.recall import recall_table
from support import tiny
from support.projects import FAST_RCNN

WINDOWS = ("--method", "sliding_windows")
FAULTY = '''
from detkit.data import Shapes
from detkit.errors import ImageError
from detkit.registry import DATASETS


@DATASETS.register(force=True)
class Faulty(Shapes):
    """Shapes, one image of which cannot be decoded, or ends the program."""

    def __init__(self, interrupt: bool = False):
        super().__init__(length=4, size=(64, 64))
        self._error = KeyboardInterrupt if interrupt else ImageError
        self.bad_images = [("9.jpg", "is empty (0 bytes)")]

    def image(self, index):
        if index == 2:
            raise self._error("2.jpg: JPEG truncated after 3 bytes")
        return super().image(index)
'''


@pytest.fixture(scope="module")
def files(config, tmp_path_factory):
    """{split: file of sliding windows}."""
    folder = tmp_path_factory.mktemp("proposed")
    out = {split: folder / f"{split}.npz" for split in ("train", "val")}
    for split, path in out.items():
        words = ("--split", split, "--limit", 60, "--seed", 3, "--workers", 2)
        assert tiny.tool("propose", config, *WINDOWS, *words, "--out", path) == 0
    return out


def test_every_image_of_the_split_has_the_methods_boxes(config, files):
    for split, path in files.items():
        dataset = build_dataset(open_config(config), split)
        for index, boxes in enumerate(load_proposals(str(path), dataset).values()):
            rng = np.random.default_rng([3, index])
            np.testing.assert_array_equal(boxes, sliding_windows(64, 64, rng, 60))


def test_the_table_is_that_of_the_file_and_evaluate_prints_it_too(config, files, tmp_path, capsys):
    out = tmp_path / "deep/again.npz"
    words = ("--limit", 60, "--seed", 3, "--out", out)
    assert tiny.tool("propose", config, *WINDOWS, *words) == 0
    printed = capsys.readouterr().out
    assert out.read_bytes() == files["val"].read_bytes()
    objects = OneClass(build_dataset(open_config(config), "val"))
    table = recall_table(objects, load_results(out, objects))
    count, *rows, written = printed.splitlines()
    assert "\n".join(rows) == table
    assert rows[-1].split()[0] == "all" and float(rows[-1].split()[1]) > 0
    tiny.assert_says(count, "proposals of 4 images", "55 an image", "0 images cannot be used")
    assert written == f"written: {out}"
    assert tiny.tool("evaluate", config, out) == 0
    assert capsys.readouterr().out == table + "\n"


def test_a_fast_rcnn_is_trained_on_the_files(config, files, tmp_path):
    paths = [f"data.{split}_proposals={{path: {path}}}" for split, path in files.items()]
    assert tiny.train(config, tmp_path, *FAST_RCNN, *paths) == 0
    assert tiny.records(tmp_path, "train")[-1]["roi_box"] >= 0


def test_json_holds_the_same_boxes(config, files, tmp_path):
    out = tmp_path / "val.json"
    words = ("--limit", 60, "--seed", 3, "--out", out)
    assert tiny.tool("propose", config, *WINDOWS, *words) == 0
    assert {entry["category_id"] for entry in json.loads(out.read_text())} == {1}
    dataset = build_dataset(open_config(config), "val")
    one, other = (load_proposals(str(path), dataset) for path in (out, files["val"]))
    for image_id, boxes in one.items():
        np.testing.assert_allclose(boxes, other[image_id], atol=1e-4)


@pytest.fixture
def faulty(tmp_path):
    """The config of a project whose data.val has an image that cannot be read."""
    config = tiny.project(tmp_path)
    (tmp_path / "plugins/faulty.py").write_text(FAULTY)
    return config


def faulty_set(**arguments):
    node = "".join(f", {name}: {value}" for name, value in arguments.items())
    return "--set", f"data.val={{type: Faulty{node}}}"


def test_a_bad_image_is_counted_said_and_has_no_proposals(faulty, tmp_path, capsys):
    out = tmp_path / "val.npz"
    words = (*WINDOWS, "--limit", 50, "--out", out, *faulty_set())
    assert tiny.tool("propose", faulty, *words) == 0
    said = capsys.readouterr()
    tiny.assert_says(said.err, "no proposals of shapes-0-000002: 2.jpg: JPEG truncated")
    tiny.assert_says(said.err, "no proposals of 9.jpg: is empty")
    tiny.assert_says(said.out, "129 proposals of 4 images", "2 images cannot be used")
    dataset = build_dataset(open_config(faulty, faulty_set()[1:]), "val")
    counts = [len(boxes) for boxes in load_proposals(str(out), dataset).values()]
    assert counts == [43, 43, 0, 43]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interruption_costs_no_earlier_file(faulty, tmp_path, workers, capsys):
    out = tmp_path / "proposed/val.npz"
    out.parent.mkdir()
    out.write_bytes(b"earlier")
    words = (*WINDOWS, "--out", out, "--workers", workers, *faulty_set(interrupt="true"))
    assert tiny.tool("propose", faulty, *words) == 130
    assert "interrupted" in capsys.readouterr().err
    assert [path.name for path in out.parent.iterdir()] == ["val.npz"]
    assert out.read_bytes() == b"earlier"


@pytest.mark.skipif(hasattr(cv2, "ximgproc"), reason="OpenCV has ximgproc")
def test_without_opencvs_contrib_modules_the_tool_says_what_to_install(config, tmp_path, capsys):
    message = tiny.refused(capsys, "propose", config, "--out", tmp_path / "a.npz")
    tiny.assert_says(message, "ximgproc", "opencv-contrib-python", "pip install")


@pytest.mark.skipif(not hasattr(cv2, "ximgproc"), reason="needs opencv-contrib-python")
@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_selective_search_by_the_tool(config, tmp_path, mode, capsys):
    files = [tmp_path / "one.npz", tmp_path / "same.npz"]
    for workers, out in enumerate(files, 1):
        words = ("--mode", mode, "--side", 48, "--workers", workers, "--out", out)
        assert tiny.tool("propose", config, *words) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    last = capsys.readouterr().out.splitlines()[-2].split()
    assert float(last[1]) > 10


@pytest.mark.parametrize("name", ["val.mat", "val", "val.txt"])
def test_a_file_that_cannot_be_written_is_refused_first(config, tmp_path, name, capsys):
    message = tiny.refused(capsys, "propose", config, *WINDOWS, "--out", tmp_path / name)
    tiny.assert_says(message, "--out: ", "FILE.npz or FILE.json", name)


def test_a_seed_counts_from_zero(config, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool("propose", config, "--out", tmp_path / "a.npz", "--seed", -1)
    assert caught.value.code == 2
    assert "--seed: expected a whole number of at least 0, found -1" in capsys.readouterr().err
