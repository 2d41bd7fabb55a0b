"""Masks and COCO's ways of writing them: what comes back, and what is refused before C sees it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from detkit import segmentations

pictures = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1)
)


def run_lengths(mask):
    """Column by column, beginning with zeros."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat, prepend=np.uint8(0)))
    return np.diff([0, *ends, flat.size]).tolist()


def compressed(mask):
    return {"size": list(mask.shape), "counts": segmentations.encode(mask)["counts"].decode()}


@given(pictures)
def test_every_way_of_writing_a_mask_gives_the_mask(mask):
    uncompressed = {"size": list(mask.shape), "counts": run_lengths(mask)}
    for written in (compressed(mask), uncompressed):
        parsed = segmentations.parse_segmentation(written, *mask.shape)
        found = segmentations.decode(parsed, *mask.shape)
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, mask)


def test_polygons_cover_their_union():
    written = [[2, 1, 6, 1, 6, 5, 2, 5], [7.0, 4.0, 9.0, 4.0, 9.0, 6.0, 7.0, 6.0], [1, 1, 3, 3]]
    found = segmentations.decode(segmentations.parse_segmentation(written, 8, 12), 8, 12)
    expected = np.zeros((8, 12), np.uint8)
    expected[1:5, 2:6] = expected[4:6, 7:9] = 1
    np.testing.assert_array_equal(found, expected)


def test_polygons_without_area_cover_nothing():
    assert segmentations.parse_segmentation([[1, 1, 5, 5], []], 8, 12) == []
    assert segmentations.decode([], 8, 12).tolist() == np.zeros((8, 12)).tolist()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ("ab", "segmentation is str, expected a list of polygons or an RLE"),
        ([[1, 2, 3, 4, 5]], "no list of numbers x, y, x, y"),
        ([[1, 2, 3, 4, 5, "6"]], "no list of numbers"),
        ([1, 2, 3, 4, 5, 6], "no list of numbers"),
        ([[1, 2, 3, 4, 5, 10**400]], "no list of numbers"),
        ([[1, 2, 3, 4, 5, 1e9]], "far outside the image"),
        ([[1, 2, 3, 4, 5, float("nan")]], "far outside the image"),
        ({"size": [4, 5]}, "neither a text nor a list of whole numbers as counts"),
        ({"size": [4, 5], "counts": [20.0]}, "neither a text nor a list"),
        (
            {"size": [5, 4], "counts": [20]},
            r"size \[5, 4\], the image \[height, width\] = \[4, 5\]",
        ),
        ({"counts": [20]}, "size None"),
        ({"size": [4, 5], "counts": [19]}, "not lengths that add up to 4 x 5 pixels"),
        ({"size": [4, 5], "counts": []}, "not lengths that add up"),
        ({"size": [4, 5], "counts": [30, -10]}, "not lengths that add up"),
        ({"size": [4, 5], "counts": "000"}, "not lengths that add up"),  # C would leave them unset
        ({"size": [4, 5], "counts": "~~~"}, "no numbers from '~' on"),
        ({"size": [4, 5], "counts": "\u20ac"}, "no numbers from '\u20ac' on"),
        ({"size": [4, 5], "counts": "o" * 100}, "no numbers from 'o' on"),
        ({"size": [4, 5], "counts": "4o"}, "end in the middle of a number"),
    ],
)
def test_what_is_no_segmentation_is_said(segmentation, message):
    with pytest.raises(ValueError, match=message):
        segmentations.parse_segmentation(segmentation, 4, 5)


@given(pictures, st.data())
def test_a_damaged_rle_is_refused_or_another_mask(mask, data):
    written = compressed(mask)
    place = data.draw(st.integers(0, len(written["counts"]) - 1))
    character = data.draw(st.characters(min_codepoint=40, max_codepoint=120))
    counts = written["counts"]
    written["counts"] = counts[:place] + character + counts[place + 1 :]
    try:
        rle = segmentations.parse_segmentation(written, *mask.shape)
    except ValueError as error:
        assert "RLE" in str(error)
    else:
        assert set(np.unique(segmentations.decode(rle, *mask.shape))) <= {0, 1}


def test_masks_are_fitted_to_the_image():
    small = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3)
    assert segmentations.fit(small, (2, 3)) is small
    assert segmentations.fit(small, (3, 2)).tolist() == [[[1, 2], [4, 5], [0, 0]]]
    assert segmentations.fit(small[:0], (9, 9)).shape == (0, 9, 9)
