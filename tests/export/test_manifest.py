"""Files of an export that are missing, damaged or not what model.json says."""

import pytest

from detkit.export.manifest import MANIFEST, PARAMETERS, SYMBOL
from detkit.files.disk import sha256_of
from support.exports import exported, refused, rewrite


@pytest.fixture
def folder(small_model, tmp_path):
    """A folder of an export."""
    exported(small_model(), tmp_path / "exported")
    return tmp_path / "exported"


@pytest.mark.parametrize("name", [SYMBOL, PARAMETERS])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    refused(folder, f"{folder}/{name}: ", "No such file", "copy the whole folder")


@pytest.mark.parametrize("name", [SYMBOL, PARAMETERS])
def test_a_truncated_file(folder, name):
    whole, digest = (folder / name).read_bytes(), sha256_of(folder / name)
    (folder / name).write_bytes(whole[:-100])
    refused(folder, f"{folder}/{name}: ", digest[:16], f"{len(whole) - 100} bytes")


def test_a_folder_that_is_none(folder, tmp_path):
    refused(tmp_path / "absent", "absent/model.json: ", "no such file", "detkit export")
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text()[:50])
    refused(folder, f"{folder}/model.json: ", "JSON", "line 4 column ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, ("format: ", "expected 1", "found 2")),
        ({"without": ["format"]}, ("format: ", "found None")),
        ({"classes": "cat"}, ("classes: ", "list", "'cat'")),
        ({"without": ["pad_multiple"]}, ("pad_multiple: ", "integer", "nothing")),
        ({"resize": {"short": 40}}, ("resize: ", "short", "long", "like", "{'short': 40}")),
        ({"resize": {"short": 40, "long": 96, "like": "x"}}, ("resize: ", "torchvision", "'x'")),
        ({"library": 3}, ("library: ", "string or null", "3")),
        ({"library": "ops.so"}, ("files: ", "'ops.so'")),
        ({"files": {SYMBOL: "0"}}, ("files: ", repr(PARAMETERS))),
        ({"files": {SYMBOL: "0", PARAMETERS: "0", "../x": "0"}}, ("files: ", "'../x': '0'")),
    ],
)
def test_a_manifest_that_is_wrong(folder, changes, said):
    rewrite(folder, **changes)
    refused(folder, f"{folder}/model.json: ", "export it again", *said)
