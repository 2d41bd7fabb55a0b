"""A run that was moved to where its project is not: the same bits by every tool."""

import contextlib
import shutil

import cv2
import numpy as np
import pytest

import detkit
from detkit.registry import REGISTRIES
from support import tiny

LAST = "checkpoints/step-00000006"
# The backbone of the tiny project, under another name and in another file.
BACKBONE = (
    tiny.PLUGIN[: tiny.PLUGIN.index("@HOOKS")]
    .replace("TinyBackbone", "{name}")
    .replace("force=True", "")
)
USES = "model.backbone={{type: {name}}}"


def plain(project):
    """A project without plugins of its own; the overrides of its run."""
    shutil.rmtree(project / "plugins")
    return ["model.backbone={type: ZF}"]


def one_file(project):
    """A plugin that imports the file beside it, as the project's folder has them."""
    (project / "plugins/mine.py").write_text("from . import _nets\n")
    (project / "plugins/_nets.py").write_text(BACKBONE.replace("{name}", "NetOfAFile"))
    return [USES.format(name="NetOfAFile")]


def package(project):
    """A package elsewhere in the project, which the config lists."""
    (project / "lab/deep").mkdir(parents=True)
    (project / "lab/__init__.py").write_text("from .deep.nets import NetOfAPackage\n")
    (project / "lab/deep/__init__.py").write_text("")
    (project / "lab/deep/nets.py").write_text(BACKBONE.replace("{name}", "NetOfAPackage"))
    return [USES.format(name="NetOfAPackage"), "plugins=[lab/]"]


def picture(folder):
    path = folder / "picture.png"
    image = np.full((64, 64, 3), 90, np.uint8)
    cv2.rectangle(image, (10, 10), (40, 40), (20, 200, 250), cv2.FILLED)
    cv2.imwrite(str(path), image)
    return str(path)


def assert_equal(detections, others):
    assert len(detections.boxes) > 0
    for one, other in zip(detections, others):
        np.testing.assert_equal(one, other)


def outcome(run, out):
    """What the tools make of a run by its own config: metrics, detections, a drawing, an export."""
    out.mkdir()
    config, last = run / "config.yaml", run / LAST
    assert tiny.tool("test", config, last, "--work-dir", out, "--out", out / "found.json") == 0
    assert tiny.tool("export", config, last, "--ops", "mxnet", "--out", out / "export") == 0
    assert tiny.tool("demo", config, last, picture(out), "--out", out / "drawn", "--score", 0) == 0
    names = ("result.json", "found.json", "drawn/picture.png")
    files = [(out / name).read_bytes() for name in names]
    # The files of two exports differ in the names of their nodes, which the process numbers.
    return files, detkit.load_exported(out / "export").detect(cv2.imread(picture(out)))


@pytest.fixture(scope="module", params=[plain, one_file, package])
def moved(request, tmp_path_factory):
    """A run after its project was deleted, and what the tools made of it before.

    The process has forgotten the parts of the project, too.
    """
    project, elsewhere = (tmp_path_factory.mktemp(name) for name in ("project", "elsewhere"))
    config, run = tiny.project(project), project / "run"
    with contextlib.ExitStack() as stack:
        for registry in REGISTRIES.values():
            stack.enter_context(registry.temporarily())
        overrides = [*request.param(project), "train.pictures=0"]
        assert tiny.train(config, run, *overrides) == 0
        before = outcome(run, project / "outcome")
    shutil.move(str(run), str(elsewhere))
    shutil.rmtree(project)
    with contextlib.ExitStack() as stack:
        for registry in REGISTRIES.values():
            stack.enter_context(registry.temporarily())
        yield elsewhere / "run", before


def test_the_tools_give_the_same_bits(moved, tmp_path):
    run, (files, exported) = moved
    found, detections = outcome(run, tmp_path / "outcome")
    assert found == files
    assert_equal(detections, exported)


def test_it_is_resumed_and_ends_with_the_same_bits(moved, tmp_path, capsys):
    again = tmp_path / "again"
    shutil.copytree(moved[0], again)
    shutil.rmtree(again / LAST)
    (again / "checkpoints/last").unlink()
    assert tiny.train(again / "config.yaml", again, resume="auto") == 0
    said = capsys.readouterr().out
    assert f"resuming from {again}/checkpoints/step-00000003" in said
    assert "changed config" not in said
    tiny.assert_same_checkpoint(again / LAST, moved[0] / LAST)


def test_a_checkpoint_alone_is_enough(moved, tmp_path):
    shutil.copytree(moved[0] / LAST, tmp_path / "alone")
    image = cv2.imread(picture(tmp_path))
    found = detkit.load(tmp_path / "alone/config.yaml", tmp_path / "alone").detect(image)
    expected = detkit.load(moved[0] / "config.yaml", moved[0] / LAST).detect(image)
    assert_equal(found, expected)
