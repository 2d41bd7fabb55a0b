"""Caches of decoded images: the same pixels, never above the limit, damage made good, shared."""

import logging
import threading

import numpy as np
import pytest

from detkit.data import Concat, Loader, Repeat, Resize, Shapes
from detkit.data.caches import MB, DiskCache, MemoryCache
from detkit.data.decoded import Images
from detkit.errors import DataError, DetkitError, ImageError
from support.photographs import batches, counted, cv2_image, photographs
from support.pictures import Pictures

SIZES = [(401, 603), (600, 400), (240, 320), (500, 500)]
RESIZE = [Resize(100, 1000)]


@pytest.fixture(params=["memory", "disk"])
def cache(request, tmp_path):
    return MemoryCache() if request.param == "memory" else DiskCache(str(tmp_path / "cache"))


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("workers", [0, 3])
def test_later_epochs_have_the_same_pixels_without_decoding(tmp_path, cache, workers, reduced):
    dataset = counted(photographs(tmp_path / "images", SIZES))
    expected = [batches(dataset, epoch=epoch, reduced=reduced) for epoch in range(3)]
    dataset.decoded = 0
    for epoch in range(3):
        for one, other in zip(expected[epoch], batches(dataset, cache, epoch, workers, reduced)):
            assert one.image_ids == other.image_ids
            np.testing.assert_array_equal(one.images, other.images)
            np.testing.assert_array_equal(one.boxes, other.boxes)
            np.testing.assert_array_equal(one.scales, other.scales)
    assert dataset.decoded == len(SIZES)


def test_both_sizes_of_an_image_are_kept_apart(tmp_path, cache):
    dataset = photographs(tmp_path / "images", SIZES)
    for _ in range(2):
        whole, small = Images(dataset, (), cache).read(0), Images(dataset, RESIZE, cache).read(0)
        assert (whole.image.shape, small.image.shape) == ((401, 603, 3), (101, 151, 3))
        assert (small.factor, small.size) == (4, (401, 603))


def test_an_image_that_is_there_several_times_is_kept_once(tmp_path, cache):
    dataset = counted(photographs(tmp_path / "images", SIZES[:2]))
    batches(Concat([Repeat(dataset, 3), dataset]), cache)
    assert dataset.decoded == 2


def test_an_image_cannot_be_written_to(tmp_path, cache):
    dataset = photographs(tmp_path / "images", SIZES)
    for _ in range(2):
        with pytest.raises(ValueError, match="read-only"):
            Images(dataset, (), cache).read(0).image[0] = 0


def test_errors_are_not_kept(tmp_path, cache):
    dataset = photographs(tmp_path / "images", SIZES)
    path = dataset.image_path(0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    for _ in range(2):
        with pytest.raises(ImageError, match="truncated"):
            Images(dataset, (), cache).read(0)
    path.write_bytes(whole)
    np.testing.assert_array_equal(Images(dataset, (), cache).read(0).image, cv2_image(path))


def test_a_full_cache_keeps_what_it_has_and_says_so_once(tmp_path, caplog):
    each = 700 * 600 * 3  # 1.26 MB
    dataset = counted(photographs(tmp_path / "images", [(700, 600)] * 5))
    for cache in (MemoryCache(3), DiskCache(str(tmp_path / "cache"), 3)):
        dataset.decoded = 0
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            for epoch in range(3):
                batches(dataset, cache, epoch)
        assert 2 * each <= cache.used <= 2 * each + 200 <= 3 * MB
        assert dataset.decoded == 5 + 3 + 3
        (said,) = caplog.messages
        assert "data.cache.limit_mb" in said and "3 MB" in said


def test_no_number_of_threads_exceeds_the_limit(tmp_path):
    dataset = photographs(tmp_path / "images", [(700, 600)] * 12)
    for cache in (MemoryCache(4), DiskCache(str(tmp_path / "cache"), 4)):
        threads = [
            threading.Thread(target=batches, args=(dataset, cache, epoch)) for epoch in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 3 * 700 * 600 * 3 <= cache.used <= 4 * MB
    files = sum(each.stat().st_size for each in (tmp_path / "cache").glob("*.image"))
    assert files == cache.used


def test_images_in_memory_stay_as_they_are(tmp_path):
    shapes, cache = Shapes(3), MemoryCache()
    one, other = batches(shapes, cache), batches(shapes, cache)
    np.testing.assert_array_equal(one[0].images, other[0].images)
    own = np.zeros((4, 4, 3), np.uint8)
    cache.image(object(), 0, 1, lambda: own)
    own[0] = 1  # the dataset's array can be written to as before


def test_a_cache_on_disk_needs_files(tmp_path):
    cache = DiskCache(str(tmp_path))
    with pytest.raises(DataError, match="data.cache: .*files.* found Pictures; use .*memory"):
        Loader(Pictures([(8, 8)]), [], 1, cache=cache)


def test_senseless_arguments_are_refused(tmp_path):
    for make in (MemoryCache, lambda limit_mb: DiskCache(str(tmp_path), limit_mb)):
        with pytest.raises(ValueError, match="limit_mb: .*at least 1 .*found 0"):
            make(limit_mb=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(DetkitError, match="expected a writable folder, found a file"):
        DiskCache(str(tmp_path / "file"))
