"""Precomputed proposals: read, clipped, moved with the image, padded."""

import json

import numpy as np
import pytest

from detkit.data import (
    HorizontalFlip,
    Loader,
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
from detkit.errors import DataError


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


# --- files ----------------------------------------------------------------------------------------


def test_a_file_is_read_best_first_up_to_the_limit(dataset, ids, write):
    entries = [entry(name, [4, 5, 10, 20]) for name in ids]
    entries += [entry(ids[1], [0, 0, 9, 9], 0.9), entry(ids[1], [1, 1, 2, 2], -3.5)]
    actual = load_proposals(write(entries), dataset)
    assert list(actual) == ids
    assert actual[ids[0]].dtype == np.float32
    assert actual[ids[0]].tolist() == [[4, 5, 14, 25]]
    assert actual[ids[1]].tolist() == [[0, 0, 9, 9], [4, 5, 14, 25], [1, 1, 3, 3]]
    assert load_proposals(write(entries), dataset, limit=2)[ids[1]].shape == (2, 4)


def test_an_image_without_proposals_is_an_error(dataset, ids, write):
    path = write([entry(ids[0], [4, 5, 10, 20])])
    message = rf"proposals.json: .*2 of 3 images, first '{ids[1]}'"
    with pytest.raises(DataError, match=message):
        load_proposals(path, dataset)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "JSON"),
        ({"a": 1}, "list of results, found dict"),
        ([entry("b", [0, 0, 1, 1])], "entry 0: image_id: .*found 'b'"),
        ([entry("{id}", [0, 0, 1, 1], category=2)], "entry 0: category_id: .*1, found 2"),
        ([entry("{id}", [0, 0, 1])], r"entry 0: bbox: .*found \[0, 0, 1\]"),
        ([entry("{id}", [0, 0, 1, -1])], r"entry 0: bbox: .*at least 0, found \[0, 0, 1, -1\]"),
        ([entry("{id}", [0, 0, 1, 1], "high")], "entry 0: score: .*found 'high'"),
    ],
)
def test_a_damaged_file_is_an_error_with_its_place(dataset, ids, write, content, message):
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(DataError, match=f"proposals.json: .*{message}"):
        load_proposals(write(text.replace("{id}", ids[0])), dataset)


def test_a_missing_file_and_a_limit_of_nothing(dataset, tmp_path):
    with pytest.raises(DataError, match="absent.json: .*No such file"):
        load_proposals(str(tmp_path / "absent.json"), dataset)
    with pytest.raises(ValueError, match="limit: .*at least 1, found 0"):
        load_proposals(str(tmp_path / "absent.json"), dataset, limit=0)


# --- samples --------------------------------------------------------------------------------------


def test_proposals_are_clipped_and_what_is_outside_is_said():
    boxes = np.array([[-5, 2, 70, 9], [60, 0, 65, 9], [3, 3, 3, 9], [1, 2, 3, 4]], np.float32)
    dropped = []
    actual = with_proposals(sample([]), boxes, dropped)
    assert actual.proposals.tolist() == [[0, 2, 60, 9], [1, 2, 3, 4]]
    ((image_id, reason),) = dropped
    assert image_id == "a"
    assert "2 of 4 proposals" in reason
    assert "60 x 40 pixels" in reason
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
    actual = apply([Resize(80, 200), Photometric(p=1)], SAMPLE, rng())
    assert actual.image.shape[:2] == (80, 120)
    assert actual.proposals.dtype == np.float32
    np.testing.assert_array_equal(actual.proposals, SAMPLE.proposals * 2)


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
    with pytest.raises(DataError, match="transform Shift: .*proposals.*Sample.move_boxes"):
        apply([Shift()], SAMPLE, rng())
    apply([Shift()], SAMPLE._replace(proposals=None), rng())
    actual = apply([ShiftAll()], SAMPLE, rng())
    np.testing.assert_array_equal(actual.proposals[:, 0], SAMPLE.proposals[:, 0] + 4)


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
    by_image = {}
    for batch in loader.batches(0):
        rows = zip(batch.image_ids, batch.proposals, batch.proposal_scores)
        by_image.update({name: boxes[scores > 0].tolist() for name, boxes, scores in rows})
    assert by_image == {name: [[0, 0, 2 * (6 + n), 18]] for n, name in enumerate(ids)}
    ((image_id, reason),) = loader.dropped
    assert image_id == ids[2]
    assert "1 of 2 proposals" in reason
