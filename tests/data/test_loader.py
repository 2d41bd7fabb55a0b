"""Batches: padded into few shapes, the same whoever loads them and wherever a run begins."""

import threading
import time

import numpy as np
import pytest

from detkit.data.batch import group_by_aspect, make_batch
from detkit.data.loader import Loader
from detkit.data.sample import Annotation, Sample
from detkit.data.shapes import Shapes
from detkit.data.transforms import HorizontalFlip, Photometric, Resize
from support.pictures import Pictures

TRANSFORMS = [Resize((40, 48), 100), HorizontalFlip(), Photometric()]


def picture(height, width, count, difficult=()):
    boxes = np.arange(4 * count, dtype=np.float32).reshape(count, 4)
    flags = np.isin(np.arange(count), difficult)
    image = np.random.default_rng(count).integers(1, 256, (height, width, 3), dtype=np.uint8)
    return Sample(f"{height}x{width}", image, boxes, np.arange(count, dtype=np.int32), flags)


def assert_same(one, other):
    for name, mine, theirs in zip(one._fields, one, other):
        np.testing.assert_array_equal(mine, theirs, err_msg=name)


def test_make_batch_pads_images_and_objects():
    samples = [picture(30, 65, 2), picture(40, 50, 9, difficult=[0, 8]), picture(33, 60, 0)]
    batch = make_batch(samples, [(60, 65), (40, 100), (33, 60)], 32, indices=(4, 5, 6), number=7)
    assert batch.images.shape == (3, 3, 64, 96) and batch.images.dtype == np.float32
    for row, sample in enumerate(samples):
        height, width = sample.image.shape[:2]
        valid = batch.images[row, :, :height, :width]
        np.testing.assert_array_equal(valid, sample.image.transpose(2, 0, 1))
        assert batch.images[row].sum() == valid.sum()
    assert batch.sizes.tolist() == [[30, 65], [40, 50], [33, 60]]
    assert batch.scales.tolist() == [[1, 0.5], [0.5, 1], [1, 1]]
    assert batch.boxes.shape == (3, 16, 4) and batch.labels.shape == (3, 16)
    assert batch.labels[0].tolist() == [0, 1] + [-1] * 14
    assert batch.labels[1].tolist() == [-2, 1, 2, 3, 4, 5, 6, 7, -2] + [-1] * 7
    assert batch.labels[2].tolist() == [-1] * 16
    np.testing.assert_array_equal(batch.boxes[1, :9], samples[1].boxes)
    assert not batch.boxes[0, 2:].any() and not batch.boxes[2].any()
    assert batch.image_ids == ("30x65", "40x50", "33x60")
    assert (batch.indices, batch.number) == ((4, 5, 6), 7)


@pytest.mark.parametrize("count, slots", [(0, 8), (8, 8), (9, 16), (16, 16), (33, 64)])
def test_objects_are_padded_to_powers_of_two(count, slots):
    assert make_batch([picture(8, 8, count)], [(8, 8)]).boxes.shape == (1, slots, 4)


@pytest.mark.parametrize("multiple, shape", [(1, (33, 65)), (32, (64, 96)), (64, (64, 128))])
def test_sides_are_padded_to_the_multiple(multiple, shape):
    assert make_batch([picture(33, 65, 1)], [(33, 65)], multiple).images.shape[2:] == shape


def test_a_row_does_not_depend_on_its_neighbours():
    samples = [picture(30, 64, 2), picture(32, 60, 5)]
    together = make_batch(samples, [(30, 64), (32, 60)])
    for row, sample in enumerate(samples):
        alone = make_batch([sample], [sample.image.shape[:2]])
        for name in ("images", "sizes", "boxes", "labels", "scales"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[row])


def test_groups_share_their_aspect_and_keep_the_order():
    sizes = [(3, 4), (4, 3), (3, 4), (5, 5), (4, 3), (3, 4), (4, 3)]
    batches = group_by_aspect(sizes, 2, [6, 0, 1, 2, 3, 4, 5])
    assert batches == [[6, 1], [0, 2], [3, 5], [4]]
    assert group_by_aspect(sizes, 3, range(7)) == [[0, 2, 3], [1, 4, 6], [5]]
    assert group_by_aspect([], 2, []) == []


def test_the_number_of_batches_does_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    sizes = [(3, 4) if rng.random() < 0.7 else (4, 3) for _ in range(53)]
    counts = {len(group_by_aspect(sizes, 4, rng.permutation(53))) for _ in range(20)}
    assert len(counts) == 1


def test_an_epoch_holds_every_image_once():
    loader = Loader(Shapes(23, size=(48, 48)), [], batch_size=4, seed=1, shuffle=True)
    for epoch in range(3):
        batches = list(loader.batches(epoch))
        assert [batch.number for batch in batches] == list(range(len(loader)))
        assert sorted(index for batch in batches for index in batch.indices) == list(range(23))
        assert [len(batch.images) for batch in batches] == [4] * 5 + [3]


def test_images_that_are_left_out_are_not_loaded():
    left_out = {0: "no object", 7: "no object"}
    loader = Loader(Shapes(12), [HorizontalFlip()], 5, seed=1, shuffle=True, left_out=left_out)
    assert len(loader) == 2
    batches = [list(loader.batches(epoch)) for epoch in range(2)]
    orders = [[index for batch in each for index in batch.indices] for each in batches]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted({*range(12)} - set(left_out))
    assert orders[0] != orders[1]
    whole = Loader(Shapes(12), [HorizontalFlip()], 1, seed=1, shuffle=True)
    images = {batch.indices[0]: batch.images[0] for batch in whole.batches(0)}
    for batch in batches[0]:
        for index, image in zip(batch.indices, batch.images):
            np.testing.assert_array_equal(image, images[index])


def test_epochs_are_shuffled_differently_and_evaluation_is_not():
    def order(epoch, **options):
        loader = Loader(Shapes(20), [], batch_size=1, **options)
        return [batch.indices[0] for batch in loader.batches(epoch)]

    assert order(0, shuffle=True) == order(0, shuffle=True) != order(1, shuffle=True)
    assert order(0, shuffle=True, seed=1) != order(0, shuffle=True, seed=2)
    assert order(0) == order(1) == list(range(20))


def test_batches_hold_one_aspect_unless_told_otherwise():
    sizes = [(32, 64), (64, 32)] * 6
    grouped = Loader(Pictures(sizes), [], batch_size=3, shuffle=True)
    assert {batch.images.shape[2:] for batch in grouped.batches(0)} == {(32, 64), (64, 32)}
    mixed = Loader(Pictures(sizes), [], batch_size=3, shuffle=True, group_aspect=False)
    assert (64, 64) in {batch.images.shape[2:] for batch in mixed.batches(0)}


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_load_the_same_bits(workers):
    dataset = Shapes(26, size=(40, 56))
    plain = Loader(dataset, TRANSFORMS, 3, seed=5, shuffle=True)
    threaded = Loader(dataset, TRANSFORMS, 3, seed=5, shuffle=True, workers=workers)
    batches = list(threaded.batches(2))
    assert len(batches) == len(plain)
    for one, other in zip(plain.batches(2), batches):
        assert_same(one, other)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_where_it_stopped(workers):
    loader = Loader(Shapes(20), TRANSFORMS, 3, seed=5, shuffle=True, workers=workers)
    whole = list(loader.batches(1))
    resumed = list(loader.batches(1, start=4))
    assert len(resumed) == len(whole) - 4
    for one, other in zip(whole[4:], resumed):
        assert_same(one, other)
    assert list(loader.batches(1, start=len(loader))) == []


def test_each_epoch_draws_the_transforms_anew():
    loader = Loader(Shapes(4), [Photometric()], 1)
    one, other = next(loader.batches(0)), next(loader.batches(1))
    assert one.indices == other.indices and not np.array_equal(one.images, other.images)


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("detkit-loader")]


def test_a_consumer_that_stops_leaves_no_thread():
    loader = Loader(Shapes(200), [], 1, workers=2)
    batches = loader.batches(0)
    next(batches)
    assert loader_threads()
    batches.close()
    assert not loader_threads()


def test_look_ahead_is_bounded():
    class Counting(Shapes):
        asked = 0

        def image(self, index):
            self.asked += 1
            return super().image(index)

    dataset = Counting(100)
    batches = Loader(dataset, [], 1, workers=2).batches(0)
    next(batches)
    time.sleep(0.2)
    assert dataset.asked <= 5
    batches.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_transform_reaches_the_caller(workers):
    def fail(sample, rng):
        raise ZeroDivisionError(sample.image_id)

    loader = Loader(Shapes(8), [fail], 1, workers=workers)
    with pytest.raises(ZeroDivisionError, match="shapes-0-000000"):
        list(loader.batches(0))
    assert not loader_threads()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("error", [MemoryError("300 MB"), ZeroDivisionError(), OSError(5, "I/O")])
def test_an_error_is_reported_with_the_image(workers, error, caplog):
    class Broken(Shapes):
        def image(self, index):
            if index == 5:
                raise error
            return super().image(index)

    loader = Loader(Broken(8), [], 1, workers=workers)
    batches = loader.batches(0)
    assert [next(batches).indices for _ in range(5)] == [(n,) for n in range(5)]
    with pytest.raises(type(error)) as caught:
        next(batches)
    assert caught.value is error
    (said,) = caplog.messages
    assert "'shapes-0-000005'" in said and type(error).__name__ in said
    assert not loader_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_decoded_is_skipped(workers):
    loader = Loader(Pictures([(32, 32)] * 9, broken=[4]), [], 2, workers=workers)
    for _ in range(2):
        batches = list(loader.batches(0))
        assert [batch.indices for batch in batches] == [(0, 1), (2, 3), (5,), (6, 7), (8,)]
        assert loader.skipped == {"4": "4.jpg: JPEG truncated after 3 bytes"}


def test_a_batch_without_any_image_is_left_out_and_its_number_too():
    loader = Loader(Pictures([(32, 32)] * 250, broken=[2, 3]), [], 2)
    assert [batch.number for batch in loader.batches(0)] == [0] + list(range(2, 125))
    assert next(loader.batches(0, start=1)).indices == (4, 5)
    assert len(loader) == 125


def test_the_image_is_right_about_its_size():
    """Annotated as landscape, decoded as portrait: boxes are clipped or dropped."""

    class Turned(Pictures):
        def annotation(self, index):
            boxes = np.array([[5, 5, 20, 20], [30, 5, 60, 40], [50, 5, 60, 9]], np.float32)
            labels, difficult = np.arange(3, dtype=np.int32), np.array([False, False, True])
            return Annotation("turned", 60, 40, boxes, labels, difficult)

    loader = Loader(Turned([(60, 40)]), [], 1)
    for epoch in range(2):
        batch = next(loader.batches(epoch))
        assert batch.boxes[0, :2].tolist() == [[5, 5, 20, 20], [30, 5, 40, 40]]
        assert batch.labels[0].tolist() == [0, 1] + [-1] * 6
        ((image_id, reason),) = loader.dropped
        assert image_id == "turned"
        for fragment in ("[50.0, 5.0, 60.0, 9.0]", "outside", "40 x 60", "60 x 40"):
            assert fragment in reason


def test_scales_lead_back_to_the_image_on_disk():
    dataset = Shapes(6, size=(60, 90), empty=0)
    loader = Loader(dataset, [Resize(37, 1000)], 2)
    for batch in loader.batches(0):
        for row, index in enumerate(batch.indices):
            expected = dataset.annotation(index).boxes
            actual = batch.boxes[row, : len(expected)] / np.tile(batch.scales[row], 2)
            np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "batch_size: .*1, found 0"),
        ({"batch_size": 1, "workers": -1}, "workers: .*0, found -1"),
        ({"batch_size": 1, "pad_multiple": 0}, "pad_multiple: .*1, found 0"),
        ({"batch_size": 1, "seed": -3}, "seed: .*0, found -3"),
    ],
)
def test_senseless_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Loader(Shapes(4), [], **options)
