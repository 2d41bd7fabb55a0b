"""Proposals that come with the data: written, read, clipped, moved with the image, padded."""

import io
import json
import zipfile

import numpy as np
import pytest

from detkit.data import (
    Annotation,
    HorizontalFlip,
    Loader,
    OneClass,
    Photometric,
    Resize,
    Sample,
    Shapes,
    VerticalFlip,
    apply,
    load_proposals,
    make_batch,
    with_proposals,
)
from detkit.detections import Detections
from detkit.errors import DataError
from detkit.evaluate import ProposalEvaluator, load_results, save_results


def entry(image_id, box, score=0.5, category=1):
    return {"image_id": image_id, "category_id": category, "bbox": box, "score": score}


@pytest.fixture
def dataset():
    return Shapes(3, size=(40, 60))


@pytest.fixture
def ids(dataset):
    return [dataset.annotation(index).image_id for index in range(3)]


@pytest.fixture
def write(tmp_path):
    """A function that writes entries, or a text, into a file; the file's path."""

    def write(entries):
        text = entries if isinstance(entries, str) else json.dumps(entries)
        (tmp_path / "proposals.json").write_text(text)
        return str(tmp_path / "proposals.json")

    return write


def sample(proposals, size=(40, 60)):
    return Sample(
        "a",
        np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8),
        np.array([[10, 5, 30, 20]], np.float32),
        np.zeros(1, np.int32),
        np.zeros(1, bool),
        proposals=np.array(proposals, np.float32).reshape(-1, 4),
    )


SAMPLE = sample([[0, 0, 60, 40], [3, 5, 20.5, 39]])


def rng():
    return np.random.default_rng(0)


# --- COCO's JSON ----------------------------------------------------------------------------------


def test_a_file_is_read_best_first_up_to_the_limit(dataset, ids, write):
    entries = [entry(name, [4, 5, 10, 20]) for name in ids]
    entries += [entry(ids[1], [0, 0, 9, 9], 0.9), entry(ids[1], [1, 1, 2, 2], -3.5)]
    found = load_proposals(write(entries), dataset)
    assert list(found) == ids
    assert found[ids[0]].dtype == np.float32
    assert found[ids[0]].tolist() == [[4, 5, 14, 25]]
    assert found[ids[1]].tolist() == [[0, 0, 9, 9], [4, 5, 14, 25], [1, 1, 3, 3]]
    assert load_proposals(write(entries), dataset, limit=2)[ids[1]].shape == (2, 4)


def test_an_image_without_proposals_is_an_error(dataset, ids, write):
    path = write([entry(ids[0], [4, 5, 10, 20])])
    message = rf"proposals.json: has no proposals for 2 of 3 images, beginning with '{ids[1]}'"
    with pytest.raises(DataError, match=message):
        load_proposals(path, dataset)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "not a JSON file"),
        ({"a": 1}, "expected a list of results, found dict"),
        ([entry("b", [0, 0, 1, 1])], "entry 0: image_id 'b' is not in the dataset"),
        ([entry("{id}", [0, 0, 1, 1], category=2)], "entry 0: category_id 2 is not one of 1"),
        ([entry("{id}", [0, 0, 1])], "entry 0: bbox is"),
        ([entry("{id}", [0, 0, 1, -1])], "entry 0: bbox .* its width or height is negative"),
        ([entry("{id}", [0, 0, 1, 1], "high")], "entry 0: score is 'high'"),
    ],
)
def test_a_damaged_file_is_an_error_with_its_place(dataset, ids, write, content, message):
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(DataError, match=f"proposals.json: .*{message}"):
        load_proposals(write(text.replace("{id}", ids[0])), dataset)


def test_a_missing_file_and_a_limit_of_nothing(dataset, tmp_path):
    with pytest.raises(DataError, match="absent.json: results cannot be read: No such file"):
        load_proposals(str(tmp_path / "absent.json"), dataset)
    with pytest.raises(ValueError, match="limit is at least 1, not 0"):
        load_proposals(str(tmp_path / "absent.json"), dataset, limit=0)


# --- .npz -----------------------------------------------------------------------------------------


class Numbered:
    """Images of one class with the ids it is given, without objects."""

    class_names, dropped, bad_images = ("object",), (), ()

    def __init__(self, *ids):
        self._ids = ids

    def __len__(self):
        return len(self._ids)

    def annotation(self, index):
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, bool)
        return Annotation(self._ids[index], 60, 40, *nothing)


def proposed(boxes, scores, names=("object",)):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(
        boxes, np.array(scores, np.float32), np.zeros(len(boxes), np.int32), tuple(names)
    )


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
    found = load_proposals(str(npz), Numbered(*reversed(ids)))
    assert list(found) == list(reversed(ids))
    for image_id, boxes in found.items():
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


def test_json_and_npz_are_evaluated_alike(dataset, ids, tmp_path):
    objects, rng = OneClass(dataset), np.random.default_rng(0)
    known = [objects.annotation(index) for index in range(3)]
    moved = {a.image_id: a.boxes + rng.normal(0, 2, a.boxes.shape) for a in known[:2]}
    found = {name: proposed(boxes, np.linspace(1, 0, len(boxes))) for name, boxes in moved.items()}
    recalls = []
    for name in ("a.json", "a.npz"):
        save_results(tmp_path / name, found, objects)
        recalls.append(ProposalEvaluator()(objects, load_results(tmp_path / name, objects)))
    assert recalls[0] == recalls[1]
    assert 0 < recalls[0]["AR100"] < 1


def test_an_image_of_which_an_npz_says_nothing_is_an_error(npz):
    save_results(npz, {8: NONE}, Numbered(7, 8, 9))
    message = r"proposals.npz: has no proposals for 2 of 3 images, beginning with 7; was it made of"
    with pytest.raises(DataError, match=message):
        load_proposals(str(npz), Numbered(7, 8, 9))
    assert load_proposals(str(npz), Numbered(8))[8].shape == (0, 4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": None}, "lacks scores, expected the arrays image_ids, counts, boxes, scores; f"),
        (
            {"boxes": ARRAYS["boxes"][:2]},
            r"boxes is float32 \(2, 4\), .* float32 \(3, 4\), as the c",
        ),
        (
            {"boxes": ARRAYS["boxes"].astype("f8")},
            r"boxes is float64 \(3, 4\), expected float32 \(3",
        ),
        (
            {"scores": ARRAYS["scores"][:, None]},
            r"scores is float32 \(3, 1\), .* float32 \(3,\), as",
        ),
        ({"image_ids": np.array([7, 8])}, r"image_ids is int64 \(2,\), expected str_ \(2,\)"),
        ({"image_ids": np.array([7, "8"], object)}, "Object arrays cannot be loaded"),
        ({"counts": np.array([1, 2.0])}, r"counts is float64 \(2,\), expected integer \(2,\)"),
        ({"counts": np.array([3])}, r"counts is int64 \(1,\), expected integer \(2,\)"),
        ({"counts": np.array([4, -1])}, "image '8': its count is -1"),
        (
            {"counts": np.array([2**63, 2**63 + 3], np.uint64)},
            "counts add up to 184467440737095516",
        ),
        ({"image_ids": np.array(["7", "9"])}, "image '9' is not in the dataset, .* are like '7'"),
        ({"image_ids": np.array(["7", "7"])}, "has the image '7' twice"),
        ({"scores": np.array([1, np.nan, 0], "f4")}, "image '8': a box or a score is not finite"),
        ({"boxes": ARRAYS["boxes"] / np.float32([1, 1, 0, 1])}, "image '7': a box or a score is n"),
        ({"boxes": -ARRAYS["boxes"]}, r"image '7': found the box \[-1.*, expected x1 y1 x2 y2, x2"),
    ],
)
def test_wrong_arrays_are_an_error_with_their_place(npz, changed, message):
    arrays = {**ARRAYS, **changed}
    with np.errstate(divide="ignore"):
        np.savez(npz, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(DataError, match=f"proposals.npz: .*{message}"):
        load_proposals(str(npz), PAIR)


def test_a_file_that_is_cut_short_or_damaged_is_an_error_or_the_same(npz):
    save_results(npz, {7: ONE, 8: TWO}, PAIR)
    whole, rng = npz.read_bytes(), np.random.default_rng(0)
    expected = load_proposals(str(npz), PAIR)
    for length in range(0, len(whole), 7):
        npz.write_bytes(whole[:length])
        with pytest.raises(DataError, match="not an .npz of proposals, or damaged or cut short"):
            load_proposals(str(npz), PAIR)
    refused = 0
    for place in range(len(whole)):
        changed = whole[place] ^ int(rng.integers(1, 256))
        npz.write_bytes(whole[:place] + bytes([changed]) + whole[place + 1 :])
        try:
            found = load_proposals(str(npz), PAIR)
        except DataError as error:
            assert "proposals.npz: " in str(error)
            refused += 1
        else:
            np.testing.assert_equal(found, expected)
    assert refused > 0.8 * len(whole)


def test_what_is_no_npz_and_a_pickle_are_an_error(npz):
    array = io.BytesIO()
    np.save(array, ARRAYS["boxes"])
    for content in (b"", b"[]", array.getvalue()):
        npz.write_bytes(content)
        with pytest.raises(DataError, match="not an .npz of proposals, .* File is not a zip file"):
            load_proposals(str(npz), PAIR)
    with pytest.raises(DataError, match="absent.npz: proposals cannot be read: No such file"):
        load_proposals(str(npz.with_name("absent.npz")), PAIR)


def test_what_an_npz_cannot_hold_is_refused(npz, dataset, ids):
    names = dataset.class_names
    with pytest.raises(DataError, match=f"keeps no classes, .* has {len(names)}; name a .json"):
        save_results(npz, {ids[0]: proposed([], [], names)}, dataset)
    with pytest.raises(DataError, match=r"ids 7 and '7', which are written alike; use a .json"):
        save_results(npz, {7: ONE}, Numbered(7, "7"))
    with pytest.raises(DataError, match="detections of 1 images are not of this dataset's 2"):
        save_results(npz, {9: ONE}, PAIR)
    with pytest.raises(DataError, match="folder/a.npz: results cannot be written: No such file"):
        save_results(npz.with_name("folder") / "a.npz", {7: ONE}, PAIR)
    assert list(npz.parent.iterdir()) == []


# --- samples --------------------------------------------------------------------------------------


def test_proposals_are_clipped_and_what_is_outside_is_said():
    boxes = np.array([[-5, 2, 70, 9], [60, 0, 65, 9], [3, 3, 3, 9], [1, 2, 3, 4]], np.float32)
    dropped = []
    found = with_proposals(sample([]), boxes, dropped)
    assert found.proposals.tolist() == [[0, 2, 60, 9], [1, 2, 3, 4]]
    assert dropped == [("a", "2 of 4 proposals have no area in the image, which is 60 x 40 pixels")]
    assert boxes[0, 0] == -5


@pytest.mark.parametrize("flip", [HorizontalFlip(1), VerticalFlip(1)])
def test_a_flip_turns_proposals_as_objects_and_twice_is_nothing(flip):
    given = SAMPLE._replace(proposals=np.concatenate([SAMPLE.boxes, SAMPLE.proposals]))
    once = flip(given, rng())
    np.testing.assert_array_equal(once.proposals[:1], once.boxes)
    assert once.proposals[1].tolist() == [0, 0, 60, 40]
    assert not np.array_equal(once.proposals[2], given.proposals[2])
    np.testing.assert_array_equal(flip(once, rng()).proposals, given.proposals)


def test_a_resize_scales_proposals_and_colours_leave_them():
    found = apply([Resize(80, 200), Photometric(p=1)], SAMPLE, rng())
    assert found.image.shape[:2] == (80, 120)
    assert found.proposals.dtype == np.float32
    np.testing.assert_array_equal(found.proposals, SAMPLE.proposals * 2)


@pytest.mark.parametrize("transform", [Resize(30, 90), HorizontalFlip(1), Photometric(p=1)])
def test_without_proposals_there_are_none_after_a_transform(transform):
    assert apply([transform], SAMPLE._replace(proposals=None), rng()).proposals is None


class Shift:
    """A transform that knows of objects alone."""

    def __call__(self, given, rng):
        moved = np.roll(given.image, 4, axis=1)
        return given._replace(image=moved, boxes=given.boxes + [4, 0, 4, 0])


class ShiftAll(Shift):
    """One that moves every box."""

    def __call__(self, given, rng):
        moved = np.roll(given.image, 4, axis=1)
        return given.move_boxes(lambda boxes: boxes + np.float32([4, 0, 4, 0]))._replace(
            image=moved
        )


def test_a_plugin_that_leaves_proposals_behind_is_told():
    message = "the transform Shift changed the image and its objects' boxes, and not the proposals"
    with pytest.raises(DataError, match=message):
        apply([Shift()], SAMPLE, rng())
    apply([Shift()], SAMPLE._replace(proposals=None), rng())
    found = apply([ShiftAll()], SAMPLE, rng())
    np.testing.assert_array_equal(found.proposals[:, 0], SAMPLE.proposals[:, 0] + 4)


# --- batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "slots"), [(0, 100), (1, 100), (100, 100), (101, 200)])
def test_make_batch_pads_proposals_to_hundreds(count, slots):
    samples = [SAMPLE, sample(np.tile([1, 2, 3, 4], (count, 1)))]
    batch = make_batch(samples, [(40, 60)] * 2)
    assert (batch.proposals.shape, batch.proposals.dtype) == ((2, slots, 4), np.float32)
    np.testing.assert_array_equal(batch.proposals[0, :2], SAMPLE.proposals)
    assert batch.proposal_scores[0].tolist() == [1] * 2 + [-1] * (slots - 2)
    assert batch.proposal_scores[1].tolist() == [1] * count + [-1] * (slots - count)
    assert batch.proposals.sum() == SAMPLE.proposals.sum() + 10 * count


def test_make_batch_without_proposals():
    batch = make_batch([SAMPLE, SAMPLE._replace(proposals=None)], [(40, 60)] * 2)
    assert batch.proposals is None
    assert batch.proposal_scores is None


def test_a_loader_gives_each_image_its_own(dataset, ids):
    proposals = {name: np.float32([[0, 0, 6 + n, 9]]) for n, name in enumerate(ids)}
    proposals[ids[2]] = np.float32([[70, 0, 80, 9], [0, 0, 8, 9]])
    loader = Loader(dataset, [Resize(80, 200)], 2, shuffle=True, proposals=proposals)
    found = {}
    for batch in loader.batches(0):
        rows = zip(batch.image_ids, batch.proposals, batch.proposal_scores)
        found.update({name: boxes[scores > 0].tolist() for name, boxes, scores in rows})
    assert found == {name: [[0, 0, 2 * (6 + n), 18]] for n, name in enumerate(ids)}
    reason = "1 of 2 proposals have no area in the image, which is 60 x 40 pixels"
    assert loader.dropped == [(ids[2], reason)]
