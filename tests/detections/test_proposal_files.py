"""Proposals of a whole dataset in an .npz: every bit comes back, and wrong files are refused."""

import io
import zipfile

import numpy as np
import pytest

from detkit.data import OneClass, Shapes, load_proposals
from detkit.detections.results import load_results, save_results
from detkit.errors import DataError
from detkit.evaluate import ProposalEvaluator
from support.one_class import Numbered, proposed

ONE = proposed([[1, 2, 30.25, 40]], [0.5])
TWO = proposed([[0, 0, 9, 9], [4, 5, 14, 25]], [0.75, 0.125])
NONE = proposed([], [])
ARRAYS = {
    "image_ids": np.array(["7", "8"]),
    "counts": np.array([1, 2]),
    "boxes": np.concatenate([ONE.boxes, TWO.boxes]),
    "scores": np.concatenate([ONE.scores, TWO.scores]),
}
PAIR = Numbered(7, 8)


@pytest.fixture
def npz(tmp_path):
    return tmp_path / "proposals.npz"


@pytest.mark.parametrize("ids", [(139, 25, 7), ("000139", "a/25", "Bär"), (7, "8", "seven")])
def test_an_npz_gives_back_every_bit_for_ids_of_any_kind(ids, npz):
    written = dict(zip(ids, (TWO, NONE, ONE)))
    save_results(npz, written, Numbered(*ids))
    assert [path.name for path in npz.parent.iterdir()] == ["proposals.npz"]
    actual = load_proposals(str(npz), Numbered(*reversed(ids)))
    assert list(actual) == list(reversed(ids))
    for image_id, boxes in actual.items():
        assert boxes.dtype == np.float32
        np.testing.assert_array_equal(boxes, written[image_id].boxes)
    assert load_proposals(str(npz), Numbered(*ids), limit=1)[ids[0]].tolist() == [[0, 0, 9, 9]]
    results = load_results(npz, Numbered(*ids))
    assert [results[image_id].scores.tolist() for image_id in ids] == [[0.75, 0.125], [], [0.5]]
    assert results[ids[0]].labels.tolist() == [0, 0]


def test_an_npz_is_what_numpy_writes_and_reads_and_the_same_every_time(npz, tmp_path):
    save_results(npz, {7: ONE, 8: TWO}, PAIR)
    with np.load(npz, allow_pickle=False) as arrays:
        assert list(arrays) == list(ARRAYS)
        for name, expected in ARRAYS.items():
            assert arrays[name].dtype == expected.dtype
            np.testing.assert_array_equal(arrays[name], expected)
    assert all(info.compress_type == zipfile.ZIP_STORED for info in zipfile.ZipFile(npz).filelist)
    save_results(tmp_path / "again.npz", {8: TWO, 7: ONE}, PAIR)
    assert (tmp_path / "again.npz").read_bytes() == npz.read_bytes()
    for save in (np.savez, np.savez_compressed):
        save(npz, **ARRAYS)
        np.testing.assert_array_equal(load_proposals(str(npz), PAIR)[8], TWO.boxes)


def test_an_npz_of_another_program_is_put_in_order(npz):
    np.savez(npz, **{**ARRAYS, "scores": np.array([0.5, -3, 4], np.float32)})
    assert load_proposals(str(npz), PAIR, limit=1)[8].tolist() == [[4, 5, 14, 25]]
    assert load_results(npz, PAIR)[8].scores.tolist() == [4, -3]


def test_json_and_npz_are_evaluated_alike(tmp_path):
    objects, rng = OneClass(Shapes(3, size=(40, 60))), np.random.default_rng(0)
    known = [objects.annotation(index) for index in range(3)]
    moved = {a.image_id: a.boxes + rng.normal(0, 2, a.boxes.shape) for a in known[:2]}
    actual = {name: proposed(boxes, np.linspace(1, 0, len(boxes))) for name, boxes in moved.items()}
    recalls = []
    for name in ("a.json", "a.npz"):
        save_results(tmp_path / name, actual, objects)
        recalls.append(ProposalEvaluator()(objects, load_results(tmp_path / name, objects)))
    np.testing.assert_equal(*recalls)  # nan without large objects
    assert 0 < recalls[0]["AR100"] < 1


def test_an_image_of_which_an_npz_says_nothing_is_an_error(npz):
    save_results(npz, {8: NONE}, Numbered(7, 8, 9))
    message = "proposals.npz: .*2 of 3 images, first 7; "
    with pytest.raises(DataError, match=message):
        load_proposals(str(npz), Numbered(7, 8, 9))
    assert load_proposals(str(npz), Numbered(8))[8].shape == (0, 4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": None}, "image_ids, counts, boxes, scores, found .*; scores missing"),
        ({"boxes": ARRAYS["boxes"][:2]}, r"boxes: .*\(3, 4\) .*3\), found float32 \(2, 4\)"),
        ({"boxes": ARRAYS["boxes"].astype("f8")}, r"boxes: .*float32 .*found float64 \(3, 4\)"),
        ({"scores": ARRAYS["scores"][:, None]}, r"scores: .*\(3,\) .*found float32 \(3, 1\)"),
        ({"image_ids": np.array([7, 8])}, r"image_ids: .*str_ \(2,\), found int64 \(2,\)"),
        ({"image_ids": np.array([7, "8"], object)}, "image_ids: .*'[|]O'"),
        ({"counts": np.array([1, 2.0])}, r"counts: .*integer \(2,\), found float64"),
        ({"counts": np.array([3])}, r"counts: .*\(2,\), found int64 \(1,\)"),
        ({"counts": np.array([4, -1])}, "image '8': .*found -1"),
        ({"counts": np.array([2**63, 2**63 + 3], np.uint64)}, "counts is 184467440737095516"),
        ({"image_ids": np.array(["7", "9"])}, "dataset .*such as '7'.*found '9'"),
        ({"image_ids": np.array(["7", "7"])}, "once, found '7' twice"),
        ({"scores": np.array([1, np.nan, 0], "f4")}, "image '8': .*finite"),
        ({"boxes": ARRAYS["boxes"] * np.float32([1, 1, np.inf, 1])}, "image '7': .*finite"),
        ({"boxes": -ARRAYS["boxes"]}, r"image '7': .*x1 y1 x2 y2 .*found \[-1"),
    ],
)
def test_wrong_arrays_are_an_error_with_their_place(npz, changed, message):
    arrays = {**ARRAYS, **changed}
    np.savez(npz, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(DataError, match=f"proposals.npz: .*{message}"):
        load_proposals(str(npz), PAIR)


def test_a_file_that_is_cut_short_or_damaged_is_an_error_or_the_same(npz):
    save_results(npz, {7: ONE, 8: TWO}, PAIR)
    whole, rng = npz.read_bytes(), np.random.default_rng(0)
    expected = load_proposals(str(npz), PAIR)
    for length in range(0, len(whole), 7):
        npz.write_bytes(whole[:length])
        with pytest.raises(DataError, match="proposals.npz: .*damaged"):
            load_proposals(str(npz), PAIR)
    refused = set()
    for place in range(len(whole)):
        changed = whole[place] ^ int(rng.integers(1, 256))
        npz.write_bytes(whole[:place] + bytes([changed]) + whole[place + 1 :])
        try:
            actual = load_proposals(str(npz), PAIR)
        except DataError as error:
            assert "proposals.npz: " in str(error)
            refused.add(place)
        else:
            np.testing.assert_equal(actual, expected)
    for array in ARRAYS.values():
        start = whole.index(array.tobytes())
        assert refused >= set(range(start, start + array.nbytes))


def test_what_is_no_npz_and_a_pickle_are_an_error(npz):
    array = io.BytesIO()
    np.save(array, ARRAYS["boxes"])
    for content in (b"", b"[]", array.getvalue()):
        npz.write_bytes(content)
        with pytest.raises(DataError, match="proposals.npz: .*not a zip file"):
            load_proposals(str(npz), PAIR)
    with pytest.raises(DataError, match="absent.npz: .*No such file"):
        load_proposals(str(npz.with_name("absent.npz")), PAIR)


def test_what_an_npz_cannot_hold_is_refused(npz):
    shapes = Shapes(1, size=(40, 60))
    names = shapes.class_names
    with pytest.raises(DataError, match=f"one class .*found {len(names)} classes; use a .json"):
        save_results(npz, {}, shapes)
    with pytest.raises(DataError, match="found 7 and '7'; use a .json"):
        save_results(npz, {7: ONE}, Numbered(7, "7"))
    with pytest.raises(DataError, match="dataset's 2 images, .*1 other images, first 9"):
        save_results(npz, {9: ONE}, PAIR)
    with pytest.raises(DataError, match="folder/a.npz: .*No such file"):
        save_results(npz.with_name("folder") / "a.npz", {7: ONE}, PAIR)
    assert list(npz.parent.iterdir()) == []
