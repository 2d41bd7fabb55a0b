"""The share of the images of a dataset that may be unusable, ``data.bad_images``."""

import pytest

from detkit.data.loader import Loader
from detkit.errors import DataError
from support.pictures import Pictures


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_bad_images_are_an_error(workers):
    dataset = Pictures(
        [(32, 32)] * 200, broken=range(20, 200), bad_images=[("x", "x.jpg: is empty")]
    )
    loader = Loader(dataset, [], 1, workers=workers)
    with pytest.raises(DataError) as error:
        list(loader.batches(0))
    assert "at most 1% of" in str(error.value)
    assert "3 of 201 images" in str(error.value)
    assert "\n  x: x.jpg: is empty\n  20: 20.jpg: JPEG truncated" in str(error.value)


def test_the_first_hundred_bad_images_are_listed():
    loader = Loader(Pictures([(32, 32)] * 140, broken=range(140)), [], 130)
    with pytest.raises(DataError) as error:
        list(loader.batches(0))
    assert "130 of 140 images" in str(error.value)
    first, *listed, last = str(error.value).splitlines()
    assert (len(listed), last) == (100, "  and 30 more")


def test_the_share_of_bad_images_is_a_choice():
    dataset = Pictures([(32, 32)] * 40, broken=range(4))
    for share in ("10%", "10.0 %", "100%"):
        assert len(list(Loader(dataset, [], 4, bad_images=share).batches(0))) == 9
    for share, count in (("9.9%", 4), ("0%", 1)):
        with pytest.raises(DataError, match=f"at most {share} of .* found {count} of 40"):
            list(Loader(dataset, [], 1, bad_images=share).batches(0))
    for wrong in ("101%", "5", "-1%", "", "1%%", "nan%"):
        with pytest.raises(ValueError, match="bad_images: expected a percentage such as '1%'"):
            Loader(dataset, [], 1, bad_images=wrong)


def test_bad_images_of_the_reader_count_before_the_first_batch():
    bad = [("a", "is empty"), ("b", "is empty")]
    with pytest.raises(DataError, match="2 of 12 images"):
        next(Loader(Pictures([(32, 32)] * 10, bad_images=bad), [], 1).batches(0))
