"""Fast R-CNN's files of Selective Search's boxes, compared with fast-rcnn's own arithmetic."""

import numpy as np
import pytest

from detkit.data import load_proposals, proposals_of_files
from detkit.detections.results import load_results, save_results
from detkit.errors import DataError
from fuzz.mat import cells, mat_file, numbers, proposals_of, text
from support.one_class import Numbered, proposed

BOXES = {
    "000005": np.array([[1, 1, 40, 60], [3, 11, 20, 30], [7, 5, 7, 5]]),
    "000007": np.zeros((0, 4)),
}
PAIR = Numbered(*BOXES)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "voc_2007_test.MAT").write_bytes(mat_file(*proposals_of(BOXES)))
    return str(tmp_path / "voc_2007_test.MAT")


def fast_rcnns(corners):
    """The boxes of fast-rcnn's roidb (lib/datasets/pascal_voc.py), and their sizes by its rule."""
    boxes = corners[:, (1, 0, 3, 2)] - 1
    return boxes, boxes[:, 2:] - boxes[:, :2] + 1


def test_boxes_are_those_of_fast_rcnn_without_its_plus_one(path):
    found = load_proposals(path, PAIR)
    assert list(found) == list(BOXES)
    for name, boxes in found.items():
        corners, sizes = fast_rcnns(BOXES[name])
        np.testing.assert_array_equal(boxes[:, :2], corners[:, :2])
        np.testing.assert_array_equal(boxes[:, 2:] - boxes[:, :2], sizes)
        assert boxes.dtype == np.float32
    assert found["000005"].tolist() == [[0, 0, 60, 40], [10, 2, 30, 20], [4, 6, 5, 7]]


def test_the_order_is_the_files(path):
    assert load_proposals(path, PAIR, limit=1)["000005"].tolist() == [[0, 0, 60, 40]]
    scores = load_results(path, PAIR)["000005"].scores
    np.testing.assert_allclose(scores, [1, 2 / 3, 1 / 3], rtol=1e-6)


def test_an_image_file_is_known_by_its_name(path):
    (boxes,) = proposals_of_files(path, ["photos/000005.jpg"], True, "a FastRCNN")
    assert boxes.tolist() == load_proposals(path, PAIR)["000005"].tolist()


def test_what_scipy_writes_is_the_same(path, tmp_path):
    scipy = pytest.importorskip("scipy.io")
    boxes, images = (np.empty((1, 2), object) for _ in range(2))
    boxes[0, :], images[0, :] = list(BOXES.values()), list(BOXES)
    content = {"boxes": boxes, "images": images.T}
    scipy.savemat(tmp_path / "b.mat", content, do_compression=True)
    np.testing.assert_equal(
        load_proposals(str(tmp_path / "b.mat"), PAIR), load_proposals(path, PAIR)
    )


def test_a_mat_is_only_read(path, tmp_path):
    with pytest.raises(DataError, match=r"c\.mat: expected an \.npz"):
        save_results(tmp_path / "c.mat", {"000005": proposed([], [])}, PAIR)
    assert not (tmp_path / "c.mat").exists()


NAMES = cells([text("000005"), text("000007")], "images")
GOOD = [numbers([[1, 1, 9, 9]]), numbers(np.zeros((0, 0)))]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ((NAMES,), "cell array 'boxes'.*found none"),
        ((numbers([[1]], "boxes"), NAMES), "cell array 'boxes'.*found ndarray"),
        ((cells(GOOD, "boxes"),), "cell array 'images'.*found none"),
        ((cells(GOOD[:1], "boxes"), NAMES), "as many cells in images as in boxes, found 2 and 1"),
        ((cells(GOOD, "boxes"), cells(GOOD, "images")), "images: cell 1: .*name, found ndarray"),
        ((cells([text("x")] * 2, "boxes"), NAMES), "image '000005': .*R, 4.*found str"),
        ((cells([numbers([[1, 2]])] * 2, "boxes"), NAMES), r"'000005': .*found \(1, 2\)"),
        ((cells([numbers([[9, 1, 2, 9]])] * 2, "boxes"), NAMES), r"'000005': .*x1 y1 x2 y2"),
        ((cells([numbers([[1, 1, 9, 1e300]])] * 2, "boxes"), NAMES), "'000005': .*finite"),
        ((cells([numbers([[1, 1, 9, np.nan]])] * 2, "boxes"), NAMES), "'000005': .*finite"),
        ((cells(GOOD, "boxes"), cells([text("000005")] * 2, "images")), "once, found '000005' tw"),
        ((cells(GOOD, "boxes"), cells([text("5"), text("7")], "images")), "such as '000005'.*'5'"),
    ],
)
def test_wrong_content_is_an_error_with_its_place(tmp_path, variables, message):
    (tmp_path / "a.mat").write_bytes(mat_file(*variables))
    with pytest.raises(DataError, match=rf"a\.mat: .*{message}"):
        load_proposals(str(tmp_path / "a.mat"), PAIR)


def test_an_image_without_an_entry_is_an_error(path):
    with pytest.raises(DataError, match="voc_2007_test.MAT: .*1 of 3 images, first '000009'"):
        load_proposals(path, Numbered(*BOXES, "000009"))
