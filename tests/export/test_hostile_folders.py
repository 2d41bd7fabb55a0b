"""load_exported and a folder whose hashes are right and whose content is not.

tests/tools/test_deploy_parts.py has the same cases for the C++ program.
"""

import os
import shutil

import numpy as np
import pytest

import detkit
from detkit.errors import ExportError
from detkit.export.manifest import MANIFEST, PARAMETERS, SYMBOL
from support import hostile_exports as hostile
from support import hostile_parameters
from support.exports import exported, photos
from support.small import build


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


def refused(folder, name, *fragments):
    with pytest.raises(ExportError) as caught:
        detkit.load_exported(folder)
    message = str(caught.value)
    assert message.startswith(str(folder))
    for fragment in (name, *fragments):
        assert fragment in message


@pytest.mark.parametrize("case", hostile.MANIFESTS)
def test_values_of_the_manifest(folder, case):
    change, fragments = hostile.MANIFESTS[case]
    hostile.change_manifest(folder, change)
    refused(folder, MANIFEST, *fragments)


@pytest.mark.parametrize("case", hostile.TEXTS)
def test_texts_of_the_manifest(folder, case):
    change, fragments = hostile.TEXTS[case]
    path = folder / MANIFEST
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    refused(folder, MANIFEST, *fragments)


@pytest.mark.parametrize("case", hostile.GRAPHS)
def test_graphs(folder, case):
    change, fragments = hostile.GRAPHS[case]
    hostile.change_graph(folder, change)
    refused(folder, SYMBOL, *fragments)


@pytest.mark.parametrize("case", hostile_parameters.PARAMETER_FILES)
def test_parameter_files(folder, case):
    change, fragments = hostile_parameters.PARAMETER_FILES[case]
    hostile.change_file(folder, PARAMETERS, change)
    refused(folder, "", *fragments)


@pytest.mark.parametrize("name", [MANIFEST, SYMBOL, PARAMETERS])
def test_a_pipe_is_no_file(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refused(folder, name, "a pipe or a device")


def test_the_cases_differ_from_a_folder_that_is_right(folder):
    hostile.change_manifest(folder, lambda content: None)
    hostile.change_graph(folder, lambda content: None)
    assert len(detkit.load_exported(folder).detect(photos((64, 80))[0]).boxes) > 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(folder, value):
    """The network's own checks may drop the boxes; those that are left are numbers."""
    hostile_parameters.break_weights(folder, value)
    try:
        found = detkit.load_exported(folder).detect(photos((64, 80))[0])
    except ExportError as error:
        assert "finite" in str(error)
    else:
        assert np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()


def test_labels_without_a_name(folder):
    hostile.change_manifest(folder, hostile.setting(["cat"], "classes"))
    with pytest.raises(ExportError) as caught:
        detkit.load_exported(folder).detect(photos((64, 80))[0])
    assert "classes: expected a name for the label " in str(caught.value)
