"""Masks and COCO's segmentations: each comes back, and bad ones are refused before C sees them."""

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
        decoded = segmentations.decode(parsed, *mask.shape)
        assert decoded.dtype == np.uint8
        assert decoded.flags.c_contiguous
        np.testing.assert_array_equal(decoded, mask)


def test_polygons_cover_their_union():
    written = [[2, 1, 6, 1, 6, 5, 2, 5], [7.0, 4.0, 9.0, 4.0, 9.0, 6.0, 7.0, 6.0], [1, 1, 3, 3]]
    decoded = segmentations.decode(segmentations.parse_segmentation(written, 8, 12), 8, 12)
    expected = np.zeros((8, 12), np.uint8)
    expected[1:5, 2:6] = expected[4:6, 7:9] = 1
    np.testing.assert_array_equal(decoded, expected)


def test_polygons_without_area_cover_nothing():
    assert segmentations.parse_segmentation([[1, 1, 5, 5], []], 8, 12) == []
    assert segmentations.decode([], 8, 12).tolist() == np.zeros((8, 12)).tolist()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ("ab", "list of polygons or an RLE, found str"),
        ([[1, 2, 3, 4, 5]], r"numbers x, y, .*found \[1, 2, 3, 4, 5\]"),
        ([[1, 2, 3, 4, 5, "6"]], "numbers x, y, .*'6'"),
        ([1, 2, 3, 4, 5, 6], "numbers x, y, .*found 1"),
        ([[1, 2, 3, 4, 5, 10**400]], "numbers x, y, .*1000"),
        ([[1, 2, 3, 4, 5, 1e9]], "from -5 to 10 pixels, .*1000000000.0"),
        ([[1, 2, 3, 4, 5, float("nan")]], "from -5 to 10 pixels, .*nan"),
        ({"size": [4, 5]}, "counts .*a string or a list .*None"),
        ({"size": [4, 5], "counts": [20.0]}, r"counts .*a string or a list .*\[20.0\]"),
        ({"size": [5, 4], "counts": [20]}, r"size \[4, 5\], found \[5, 4\]"),
        ({"counts": [20]}, r"size \[4, 5\], found None"),
        ({"size": [4, 5], "counts": [19]}, r"add up to 4 x 5 .*\[19\]"),
        ({"size": [4, 5], "counts": []}, r"add up to 4 x 5 .*\[\]"),
        ({"size": [4, 5], "counts": [30, -10]}, r"add up to 4 x 5 .*\[30, -10\]"),
        ({"size": [4, 5], "counts": "000"}, "add up to 4 x 5 .*'000'"),  # C would leave them unset
        ({"size": [4, 5], "counts": "~~~"}, "counts .*found '~'"),
        ({"size": [4, 5], "counts": "\u20ac"}, "counts .*found '\u20ac'"),
        ({"size": [4, 5], "counts": "o" * 100}, "counts .*found 'o'"),
        ({"size": [4, 5], "counts": "4o"}, "counts .*cut short"),
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


def test_outlines_of_a_mask_are_the_mask_again():
    rng = np.random.default_rng(5)
    for density in np.linspace(0, 1, 60):
        height, width = rng.integers(1, 14, 2)
        mask = (rng.random((height, width)) < density).astype(np.uint8)
        found = segmentations.outlines(mask)
        assert bool(found) == mask.any()
        if found:
            # Through shares of the sides, as YOLO's files have them.
            shares = segmentations.joined(found).reshape(-1, 2) / (width, height)
            polygon = (shares * (width, height)).round(6).ravel()
            np.testing.assert_array_equal(segmentations.decode([polygon], height, width), mask)


def test_a_mask_is_placed_in_an_image():
    rng = np.random.default_rng(6)
    for _ in range(40):
        mask = rng.integers(0, 2, rng.integers(1, 8, 2), np.uint8)
        left, top, right, bottom = rng.integers(0, 4, 4)
        whole = np.pad(mask, ((top, bottom), (left, right)))
        height, width = whole.shape
        rle = segmentations.parse_rle(
            segmentations.placed(mask, left, top, (width, height)), height, width
        )
        np.testing.assert_array_equal(segmentations.decode(rle, height, width), whole)


def test_the_box_around_a_segmentation():
    polygons = [np.array([1, 2, 5.5, 2, 3, 9]), np.array([7, 3, 8, 3, 8, 4.0])]
    assert segmentations.box_of(polygons) == (1, 2, 8, 9)
    mask = np.zeros((9, 9), np.uint8)
    assert segmentations.box_of(segmentations.encode(mask)) == (0, 0, 0, 0)
    mask[3:5, 4:8] = 1
    assert segmentations.box_of(segmentations.encode(mask)) == (4, 3, 8, 5)
    assert segmentations.area_of(segmentations.encode(mask), 9, 9) == 8
