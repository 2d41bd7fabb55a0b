"""detkit data check: what is printed and written, and the exit statuses."""

import json

import pytest

from detkit import cli
from detkit.commands import line
from detkit.data.recognise import read_source, recognise
from support import tiny
from support.layouts import make, paint, things

CONFIG = """# A config of which only the data is read.
_base_: faster_rcnn_vgg16
data:
  train: {_delete_: true, type: VOC, root: ROOT, splits: [train], class_names: [cat, dog]}
  val: {_delete_: true, type: VOC, root: ROOT, splits: [train], class_names: [cat, dog, eel]}
"""


def check(*words):
    return cli.run(line.main, ["data", "check", *map(str, words)])


@pytest.fixture
def folder(tmp_path):
    """A folder whose three images differ, because copies would be faults."""
    folder = make(tmp_path / "data", "csv")
    for number, name in enumerate("abc"):
        paint(folder / f"{name}.jpg", number)
    return folder


def add(folder, *rows):
    with open(folder / "boxes.csv", "a") as file:
        file.writelines(f"{row}\n" for row in rows)


def test_a_clean_folder(folder, tmp_path, capsys):
    assert check(folder, "--json", tmp_path / "faults.json") == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "csv (*.csv", "all      3 images, 3 objects of 2 classes: cat, dog")
    assert said.endswith("\ndecoding 3 images\nno faults\n")
    assert json.loads((tmp_path / "faults.json").read_text()) == {"faults": []}
    assert check(folder, "--quick") == 0
    assert "decoding" not in capsys.readouterr().out


def test_faults_are_counted_listed_and_written(folder, tmp_path, capsys):
    add(folder, *("b.jpg,60,40,cat,5,5,5,9" for _ in range(7)), "b.jpg,60,40,dog,20,10,40,30")
    assert check(folder, "--json", tmp_path / "new/faults.json") == 1
    said = capsys.readouterr().out
    tiny.assert_says(
        said,
        "8 faults of 2 kinds",
        "boxes without area: 7 (all 7)",
        f'{folder}/boxes.csv:6: "cat": box 5 5 5 9 has no area',
        "and 2 more (--json FILE lists all)",
        "boxes of one class with an IoU above 0.95: 1 (all 1)",
        f'{folder}/boxes.csv:13: "dog" box 20 10 40 30 has IoU 1.00 with that of',
    )
    assert said.count("has no area") == 5
    rows = json.loads((tmp_path / "new/faults.json").read_text())["faults"]
    assert [row["kind"] for row in rows] == ["degenerate"] * 7 + ["duplicate"]
    assert rows[7]["where"] == f"{folder}/boxes.csv:13" and rows[7]["splits"] == ["all"]
    assert rows[7]["images"] == [{"split": "all", "image": f"{folder}/b.jpg"}]


def test_a_corrected_copy_says_what_it_changed_and_left(folder, tmp_path, capsys):
    add(folder, "b.jpg,60,40,cat,1,1,2,9", "b.jpg,60,40,eel,1,1,20,9")
    (folder / "classes.txt").write_text("cat\ndog\neel\nowl\n")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert check(folder, "--fix", tmp_path / "out", "--images", "symlink") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    _, changed = capsys.readouterr().out.split(f"{tmp_path}/out: coco, 3 images, 4 objects\n")
    changed, left = changed.split("left, because a person has to decide:\n")
    assert "boxes with a side of less than 3 pixels: 1; the object is left out" in changed
    assert left == "  classes without an object: 1\n"
    (dataset,) = read_source(recognise(tmp_path / "out")).values()
    assert [name for name, _, _ in things(dataset)["b"]] == ["dog", "eel"]
    assert len(json.loads((tmp_path / "out/faults.json").read_text())["faults"]) == 2
    assert check(tmp_path / "out") == 1
    tiny.assert_says(capsys.readouterr().out, "1 fault of 1 kind", "'owl' has no object")


def test_the_splits_of_a_config(tmp_path, capsys):
    root = make(tmp_path / "data", "voc")
    for number, name in enumerate("abc"):
        paint(root / f"JPEGImages/{name}.jpg", number)
    (tmp_path / "mine.yaml").write_text(CONFIG.replace("ROOT", str(root)))
    assert check(tmp_path / "mine.yaml") == 1
    tiny.assert_says(
        capsys.readouterr().out,
        "mine.yaml: a config",
        "copies of an image in several splits: 3 (train 3, val 3)",
        f"{root}/JPEGImages/a.jpg (train): the same file as {root}/JPEGImages/a.jpg (val)",
        "classes without an object: 1",
    )
    assert check(tmp_path / "mine.yaml", "--layout", "voc") == 2
    assert check(tmp_path / "mine.yaml", "--fix", root / "JPEGImages/new") == 2
    assert "outside of" in capsys.readouterr().err


def test_a_data_yaml_of_yolo_is_no_config(tmp_path, capsys):
    folder = make(tmp_path, "yolo")
    check(folder / "data.yaml")
    assert "data.yaml: yolo (data.yaml with names" in capsys.readouterr().out


def test_what_cannot_be_read_has_a_status_of_its_own(folder, tmp_path, capsys):
    (tmp_path / "boxes.json").write_text('{"images": [')
    for source, says in (
        (tmp_path / "boxes.json", "boxes.json:1: malformed JSON"),
        (tmp_path / "nothing", "nothing"),
        (folder / "a.jpg", "a file of another kind"),
    ):
        assert check(source) == 2
        assert says in capsys.readouterr().err
    assert check(folder, "--fix", folder / "new") == 2
    assert check(folder, "--json", folder / "a.jpg/faults.json") == 2


def test_an_option_that_would_do_nothing_is_refused(folder, capsys):
    with pytest.raises(SystemExit) as caught:
        check(folder, "--images", "copy")
    assert caught.value.code == 2
    assert "--images belongs to --fix" in capsys.readouterr().err
