"""Every tool on the tiny config: train, test, evaluate, demo, print_config, list."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from detkit.checkpoints import load_checkpoint
from detkit.config import load_config
from detkit.data import Shapes
from support import tiny

TOOLS = sorted(path.stem for path in (tiny.ROOT / "tools").glob("*.py"))
LOSSES = ("loss", "rpn_class", "rpn_box", "roi_class", "roi_box")


@pytest.fixture(scope="module")
def run(reference):
    """The folder of a finished training."""
    return reference


@pytest.fixture
def copy(run, tmp_path):
    """A run that a test may write into."""
    return shutil.copytree(run, tmp_path / "copy", symlinks=True)


def losses(work_dir):
    return [[record[name] for name in LOSSES] for record in tiny.records(work_dir, "train")]


@pytest.mark.parametrize("name", TOOLS)
def test_help_explains_every_tool(name, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool(name, "--help")
    assert caught.value.code == 0
    shown = "".join(capsys.readouterr().out.split())  # argparse breaks lines
    tiny.assert_says(shown, "usage:", "--debug", "".join(tiny.module_of(name).__doc__.split()))


def test_the_example_in_the_help_is_right(config, capsys):
    with pytest.raises(SystemExit):
        tiny.tool("print_config", "--help")
    (example,) = re.findall(r"for\s+example\s+--set\s+(\S+)", capsys.readouterr().out)
    assert tiny.tool("train", config, "--dry-run", "--set", example) == 0


def test_the_guide_names_the_tools_that_take_set(capsys):
    text = (tiny.ROOT / "tools/README.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"^(`[^|#]*?)\stake\sone config, and `--set", text, re.MULTILINE)
    takes_set = set()
    for name in TOOLS:
        with pytest.raises(SystemExit):
            tiny.tool(name, "--help")
        if "--set KEY.KEY=VALUE" in capsys.readouterr().out:  # that of CONFIG
            takes_set.add(name)
    assert set(re.findall(r"`(\w+)`", sentence)) == takes_set


def test_a_tool_is_a_program():
    done = tiny.spawn("print_config", "absent.yaml")
    assert done.returncode == 1
    assert done.stderr == "error: absent.yaml: cannot be read: No such file or directory\n"
    assert done.stdout == ""


# --- train ----------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tiny.tool("train", config, "--dry-run") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("classes  6: circle")
    assert printed[-1].startswith("dry run: one step (loss ")
    assert "one evaluation batch" in printed[-1]
    assert list(tmp_path.iterdir()) == []


def test_the_work_dir_has_a_default(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tiny.tool("train", config, "--set", "train.epochs=1") == 0
    assert (tmp_path / "work_dirs/tiny/result.json").is_file()


def test_training_ends_with_a_table_and_a_result(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result) == {"AP", "AP50", "per_class", "rule", "threshold", "classes"}
    names = ["circle", "square", "triangle", "star", "cross", "ring"]
    assert list(result["per_class"]) == list(result["classes"]) == names
    assert 0 <= result["AP"] <= result["AP50"] <= 1
    # Four validation images hold no circle: neither 0 nor NaN, which is no JSON.
    assert result["per_class"]["circle"] is None
    table = printed[printed.index("\nclass ") + 1 :].splitlines()
    assert "AP50 %, VOC area" in table[0]
    assert [line.split()[0] for line in table[2:8]] == names
    assert table[-2].split() == ["AP50", f"{100 * result['AP50']:.1f}"]
    assert table[-1] == f"written: {tmp_path}/result.json"
    assert "epoch 2.00/2 step 6/6 loss " in printed
    assert "\r" not in printed


@pytest.mark.parametrize("way", ["work_dir", "print_config"])
def test_a_resolved_config_trains_the_same_again(config, run, tmp_path, way, capsys):
    if way == "work_dir":
        again = run / "config.yaml"
    else:
        again = config.parent / "printed.yaml"
        assert tiny.tool("print_config", config) == 0
        again.write_text(capsys.readouterr().out)
    assert tiny.train(again, tmp_path) == 0
    assert losses(tmp_path) == losses(run)
    last = "checkpoints/step-00000006"
    tiny.assert_same_checkpoint(run / last, tmp_path / last)
    saved = load_config(tmp_path / last / "config.yaml")
    assert saved == load_config(run / "config.yaml")


# --- test, evaluate -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3])
def test_test_finds_what_the_last_evaluation_found(config, run, copy, batch_size, capsys):
    (copy / "result.json").unlink()
    best = copy / "checkpoints/step-00000006"
    assert tiny.tool("test", config, best, "--batch-size", batch_size) == 0
    results = [json.loads((folder / "result.json").read_text()) for folder in (run, copy)]
    assert results[0]["AP50"] == pytest.approx(results[1]["AP50"], abs=1e-4)
    assert results[0]["per_class"] == pytest.approx(results[1]["per_class"], abs=1e-3)
    assert f"written: {copy}/result.json" in capsys.readouterr().out


def test_an_export_is_evaluated_as_its_checkpoint_is(config, run, tmp_path, capsys):
    exported, last = tmp_path / "exported", run / "checkpoints/step-00000006"
    assert tiny.tool("export", config, last, "--out", exported) == 0
    assert tiny.tool("test", config, exported) == 0
    assert f"written: {exported}/result.json" in capsys.readouterr().out
    results = [json.loads((folder / "result.json").read_text()) for folder in (run, exported)]
    assert results[0]["AP50"] == pytest.approx(results[1]["AP50"], abs=1e-4)


def test_detections_are_saved_and_evaluated_without_the_model(config, run, tmp_path, capsys):
    out = tmp_path / "deep/results.json"
    best = run / "checkpoints/best"
    assert tiny.tool("test", config, best, "--out", out, "--work-dir", tmp_path / "other") == 0
    table = capsys.readouterr().out.replace(f"written: {tmp_path}/other/result.json\n", "")
    entries = json.loads(out.read_text())
    assert set(entries[0]) == {"image_id", "category_id", "bbox", "score"}
    assert entries[0]["image_id"].startswith("shapes-2-")
    assert tiny.tool("evaluate", config, out) == 0
    assert capsys.readouterr().out == table
    assert tiny.tool("evaluate", config, out, "--set", "evaluate={type: COCOEvaluator}") == 0
    assert "AP75" in capsys.readouterr().out


def test_evaluating_perfect_results_gives_one(config, tmp_path, capsys):
    dataset = tiny.validation_set(config)
    entries = []
    for index in range(len(dataset)):
        truth = dataset.annotation(index)
        for (x1, y1, x2, y2), label in zip(truth.boxes.tolist(), truth.labels.tolist()):
            box = [x1, y1, x2 - x1, y2 - y1]
            entry = {"image_id": truth.image_id, "category_id": label + 1, "bbox": box, "score": 1}
            entries.append(entry)
    (tmp_path / "perfect.json").write_text(json.dumps(entries))
    assert tiny.tool("evaluate", config, tmp_path / "perfect.json") == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["AP50", "100.0"]


# --- demo -----------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """A folder of images of every kind, all of the same scene."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    colour = np.full((48, 80, 3), 120, np.uint8)
    cv2.rectangle(colour, (10, 10), (40, 40), (0, 0, 255), cv2.FILLED)
    cv2.imwrite(str(folder / "colour.png"), colour)
    cv2.imwrite(str(folder / "grey.png"), colour[:, :, 0])
    cv2.imwrite(str(folder / "rgba.png"), cv2.cvtColor(colour, cv2.COLOR_BGR2BGRA))
    cv2.imwrite(str(folder / "deep.png"), colour.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "colour.jpg"), colour)
    return folder


def test_demo_draws_images_of_every_kind(config, run, pictures, tmp_path, capsys):
    out = tmp_path / "deep/drawn"
    best = run / "checkpoints/best"
    assert tiny.tool("demo", config, best, pictures, "--out", out, "--score", 0) == 0
    drawn = sorted(path.name for path in out.iterdir())
    assert drawn == ["colour-2.png", "colour.png", "deep.png", "grey.png", "rgba.png"]
    for name in drawn:
        assert cv2.imread(str(out / name)).shape == (48, 80, 3)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 5
    assert printed[0].startswith(f"{pictures}/colour.jpg -> {out}/colour.png: ")
    assert printed[2].split(": ")[1].split()[0] in Shapes.class_names


def test_demo_takes_files_and_folders_and_a_threshold(config, run, pictures, tmp_path, capsys):
    arguments = (pictures / "grey.png", pictures, "--out", tmp_path / "o", "--score", 1.1)
    assert tiny.tool("demo", config, run / "checkpoints/best", *arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6
    assert all(line.endswith(": nothing") for line in printed)


def test_demo_reads_what_it_can(config, run, pictures, tmp_path, capsys):
    (pictures / "broken.jpg").write_bytes((pictures / "colour.jpg").read_bytes()[:300])
    arguments = (pictures, "--out", tmp_path / "o")
    assert tiny.tool("demo", config, run / "checkpoints/best", *arguments) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 5
    assert f"{pictures}/broken.jpg: " in said.err
    assert "JPEG truncated after 300 bytes" in said.err
    assert "error: 1 of 6 images could not be read, see above" in said.err


# --- print_config, list ---------------------------------------------------------------------------


def test_print_config_shows_where_values_come_from(config, monkeypatch, capsys):
    monkeypatch.chdir(config.parent.parent)
    arguments = ("configs/tiny.yaml", "--origin", "--set", "train.lr=3")
    assert tiny.tool("print_config", *arguments) == 0
    lines = [line.split("#") for line in capsys.readouterr().out.splitlines()]
    origins = {value.strip(): where.strip() for value, where in lines}
    assert origins["train.lr: 3"] == "--set train.lr=3"
    line = tiny.CONFIG.splitlines().index("seed: 3") + 1
    assert origins["seed: 3"] == f"configs/tiny.yaml:{line}"


def test_list_names_what_a_config_can_name(config, monkeypatch, capsys):
    monkeypatch.chdir(config.parent.parent)
    assert tiny.tool("list") == 0
    printed = capsys.readouterr().out
    for name in ("VGG(depth: int = 16", "TinyBackbone()", "Shapes(length: int", "CosineSchedule("):
        assert name in printed
    assert "Three convolutions of stride 2 with batch norm" in printed
    assert printed.splitlines()[-1] == "  plugins/tiny.py"


# --- the checkpoint a tool is given ---------------------------------------------------------------


def test_best_is_a_checkpoint_like_any_other(run):
    best = load_checkpoint(str(run / "checkpoints/best"))
    assert best.metrics["AP50"] == best.best


@pytest.mark.parametrize("kind", ["a link", "what a copy made of a link", "a name of nothing"])
def test_an_earlier_best_is_read_and_becomes_a_file(config, run, tmp_path, kind):
    copied = shutil.copytree(run, tmp_path / "copy")
    best, name = copied / "checkpoints/best", tiny.best(run).name
    best.unlink()
    if kind == "a link":
        best.symlink_to(name)
    elif kind == "a name of nothing":
        best.write_text(json.dumps({"checkpoint": "step-00000099"}))
    else:
        shutil.copytree(copied / "checkpoints" / name, best)
    if kind != "a name of nothing":
        assert load_checkpoint(str(best)).progress == load_checkpoint(str(tiny.best(run))).progress
    better = ("evaluate={type: Scripted, scores: [0.9]}", "train.epochs=3", "train.keep=1")
    assert tiny.train(config, copied, *better, resume="auto", force=True) == 0
    assert json.loads(best.read_text()) == {"checkpoint": "step-00000009"}
    assert not best.is_symlink()
    assert tiny.checkpoints(copied)[-1] == "step-00000009"  # what the link named is not written to


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_a_batch_size_counts_from_one(config, run, text, capsys):
    with pytest.raises(SystemExit) as caught:
        tiny.tool("test", config, run / "checkpoints/best", f"--batch-size={text}")
    assert caught.value.code == 2  # as for every misuse of the command line itself
    message = f"--batch-size: expected a whole number of at least 1, found '{text}'"
    assert message in capsys.readouterr().err
