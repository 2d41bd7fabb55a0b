"""The parts of tools/deploy that need no MXNet, among them the checks of a folder."""

import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from detkit.data.resize import like_pillow, like_torch
from detkit.export.manifest import MANIFEST, PARAMETERS, SYMBOL
from detkit.keypoints import decode
from support import hostile_exports as hostile
from support import hostile_parameters
from support.exports import KINDS, exported
from support.small import build

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "tools" / "deploy"
PARTS = (
    *("draw", "graph", "json", "json_checks", "keypoints", "model", "model_files", "nodes"),
    *("operators", "outputs", "parameters", "resize", "sha256", "variables"),
)

pytestmark = pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")


@pytest.fixture(scope="module")
def parts(tmp_path_factory, common_build):
    """Runs deploy_parts.cc."""
    program = tmp_path_factory.mktemp("parts") / "deploy_parts"
    if common_build:  # which has compiled all parts but one with the same warnings
        sources = [SOURCES / "draw.cpp", common_build / "libdetkit.a"]
    else:
        sources = [SOURCES / f"{name}.cpp" for name in PARTS]
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
    folders = ["-I", SOURCES, "-I", ROOT / "detkit" / "export" / "graph"]
    main = Path(__file__).with_name("deploy_parts.cc")
    subprocess.run(["c++", *flags, *folders, main, *sources, "-o", program], check=True)
    return lambda *words: subprocess.run([program, *map(str, words)], capture_output=True)


RESAMPLERS = [
    lambda image, size: cv2.resize(image, size, interpolation=cv2.INTER_LINEAR),
    like_torch,
    like_pillow,
]


@pytest.mark.parametrize("like", range(len(RESAMPLERS)))
def test_resizes_pixel_for_pixel(parts, tmp_path, like):
    rng = np.random.default_rng(like)
    sizes = [(*rng.integers(1, 90, 2), *rng.integers(1, 120, 2)) for _ in range(25)]
    sizes += [(40, 60, 20, 30), (20, 30, 40, 60), (30, 30, 30, 30), (40, 60, 40, 30), (9, 1, 1, 9)]
    for h, w, height, width in sizes:
        image = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
        image.tofile(str(tmp_path / "raw"))
        done = parts("resize", like, h, w, height, width, tmp_path / "raw")
        found = np.frombuffer(done.stdout, np.float32).reshape(3, height, width)
        expected = RESAMPLERS[like](image, (int(width), int(height)))
        np.testing.assert_array_equal(found, expected.transpose(2, 0, 1))


def test_bicubic_is_opencvs_to_one_step(parts, tmp_path):
    """Intel's code within some of OpenCV's builds rounds otherwise."""
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    image.tofile(str(tmp_path / "raw"))
    for height, width in ((80, 120), (30, 20)):
        done = parts("resize", 3, 50, 70, height, width, tmp_path / "raw")
        found = np.frombuffer(done.stdout, np.float32).reshape(3, height, width)
        expected = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        assert np.abs(found - expected.transpose(2, 0, 1)).max() <= 1


@pytest.mark.parametrize("side", [4, 14, 56])
def test_keypoints_are_pythons(parts, tmp_path, side):
    rng = np.random.default_rng(side)
    for size in ((0.3, 0.2), (9, 40.5), (56, 56), (130.2, 300.9), (900, 20)):
        box = np.float32([12.5, 7.25, 12.5 + size[0], 7.25 + size[1]])
        heatmaps = rng.normal(0, 3, (3, side, side)).astype("f")
        np.concatenate([box, heatmaps.ravel()]).astype("f").tofile(str(tmp_path / "raw"))
        done = parts("keypoints", 3, side, 320, 640, tmp_path / "raw")
        found = np.frombuffer(done.stdout, np.float32).reshape(3, 3)
        (expected,) = decode(heatmaps[None], box[None], (320, 640))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def drawn(parts, *points):
    """Which pixels (60, 80) are drawn for keypoints, each connected with the next, x and y."""
    done = parts("draw", 60, 80, *np.ravel(points).tolist())
    assert done.returncode == 0
    return np.frombuffer(done.stdout, np.uint8).reshape(60, 80, 3).any(axis=2)


def test_keypoints_are_drawn_where_they_are(parts):
    none = drawn(parts)  # the corner of the box alone
    pair = drawn(parts, (20.5, 30.5), (50.5, 30.5))
    assert pair[30, 20:51].all() and pair[28:33, 18:23].all()
    assert not pair[40:].any() and not pair[:, 60:].any()
    half = drawn(parts, (60.5, 30.5), (160.5, 30.5))  # the second lies outside
    assert half[30, 60:].all() and not half[29, 64:].any()
    far = drawn(parts, (-40, 20), (40, 1e30), (1e30, -1e30), (90, 70))
    np.testing.assert_array_equal(far, none)


def test_sha256(parts, tmp_path):
    for size in (0, 1, 55, 56, 63, 64, 65, 119, 120, 100003):
        content = random.Random(size).getrandbits(8 * size + 1).to_bytes(size + 1, "big")[1:]
        (tmp_path / "file").write_bytes(content)
        found = parts("sha256", tmp_path / "file").stdout.decode().strip()
        assert found == hashlib.sha256(content).hexdigest()


def read_json(parts, path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    done = parts("json", path)
    if done.returncode:
        assert done.returncode == 1 and done.stderr.startswith(b"line "), done.stderr
        return None
    return json.loads(done.stdout.decode("utf-8"))


def test_json_reads_as_python(parts, tmp_path):
    values = [
        {"a": [1, -2.5e-3, True, False, None, {}, []], 'ü\n"\\': "\U0001f600 \u0000 é"},
        [1e300, 0.1, -0.0, "\u2028", 123456789012],
        "",
        None,
    ]
    for value in values:
        for ascii_only in (False, True):
            for indent in (None, 2):
                text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
                assert read_json(parts, tmp_path / "file", text) == value


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,]", "{'a': 1}", '{"a": 1, "a": 2}', "01", "1.", ".5", "+1", "1e", "nul", "NaN"]
    + ['"\\x"', '"\\ud800"', '"\\ud800\\u0041"', '"\\udc00"', '"a', '"\n"', "1 2", "[1 2]", "1e999"]
    + ['{"a" 1}', '{"a": }', "[" * 70 + "]" * 70, b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"'],
)
def test_json_refuses(parts, tmp_path, text):
    assert read_json(parts, tmp_path / "file", text) is None


def test_json_of_changed_files(parts, tmp_path):
    """What a changed byte leaves is read as Python reads it, or refused; nothing crashes."""
    rng = random.Random(0)
    whole = json.dumps({"a": [1.5, "é\\n", {"b": None}], "c": True}, ensure_ascii=False).encode()
    for _ in range(80):
        text = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            text[rng.randrange(len(text))] = rng.choice(b'{}[]",:\\0e.\xc3\xff a')
        found = read_json(parts, tmp_path / "file", bytes(text))
        if found is not None:
            assert found == json.loads(text.decode("utf-8"))


def test_json_of_many_keys(parts, tmp_path):
    """The time is not that of comparing each key with each other, which took 7 s."""
    keys = ", ".join(f'"{key}": 0' for key in range(100_000))
    (tmp_path / "file").write_text(f"{{{keys}}}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert parts("json", tmp_path / "file").returncode == 0
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 3


def test_json_of_limits(parts, tmp_path):
    for nested, accepted in ((65, True), (66, False)):
        found = read_json(parts, tmp_path / "file", "[" * nested + "]" * nested)
        assert (found is not None) == accepted
    for values, accepted in ((499_999, True), (500_000, False)):
        found = read_json(parts, tmp_path / "file", json.dumps([0] * values))
        assert (found is not None) == accepted


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"gr\xc3\xb6\xc3\x9fe \xf0\x9f\x98\x80.png", "größe \U0001f600.png"),
        (b"gr\xf6\xdfe.png", "gr\ufffd\ufffde.png"),
        (b"\xff\xed\xa0\x80\xc3", "\ufffd" * 5),
        (b"\xf0\x9f\x98", "\ufffd" * 3),
        (b'"\\\t\x7f', '"\\\t\x7f'),
    ],
)
def test_names_of_files_become_utf8(parts, tmp_path, name, written):
    (tmp_path / "file").write_bytes(name)
    assert json.loads(parts("quoted", tmp_path / "file").stdout.decode("utf-8")) == written


# --- The folder of an export: the cases of tests/export/test_hostile_folders.py -------------------


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A folder of an export as it was written."""
    folder = tmp_path_factory.mktemp("right") / "exported"
    exported(build(), folder)
    return folder


@pytest.fixture
def folder(right, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(right, tmp_path / "exported")


def refused(parts, folder, name, *fragments):
    done = parts("network", folder)
    message = done.stderr.decode("utf-8")
    assert (done.returncode, done.stdout) == (1, b""), message
    assert message.startswith(f"{folder}/{name}")
    for fragment in fragments:
        assert fragment in message


@pytest.mark.parametrize("kind", KINDS)
def test_folders_that_are_right(parts, tmp_path, kind):
    exported(KINDS[kind](build), tmp_path)
    assert parts("network", tmp_path).stderr == b""


@pytest.mark.parametrize("case", hostile.MANIFESTS)
def test_values_of_the_manifest(parts, folder, case):
    change, fragments = hostile.MANIFESTS[case]
    hostile.change_manifest(folder, change)
    refused(parts, folder, MANIFEST, *fragments)


@pytest.mark.parametrize("case", hostile.TEXTS)
def test_texts_of_the_manifest(parts, folder, case):
    change, fragments = hostile.TEXTS[case]
    path = folder / MANIFEST
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    refused(parts, folder, MANIFEST, *fragments)


@pytest.mark.parametrize("case", hostile.GRAPHS)
def test_graphs(parts, folder, case):
    change, fragments = hostile.GRAPHS[case]
    hostile.change_graph(folder, change)
    refused(parts, folder, SYMBOL, *fragments)


@pytest.mark.parametrize("case", hostile_parameters.PARAMETER_FILES)
def test_parameter_files(parts, folder, case):
    change, fragments = hostile_parameters.PARAMETER_FILES[case]
    hostile.change_file(folder, PARAMETERS, change)
    refused(parts, folder, "", *fragments)


def test_a_pipe_is_no_manifest(parts, folder):
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)
    refused(parts, folder, MANIFEST, "expected a readable file")
