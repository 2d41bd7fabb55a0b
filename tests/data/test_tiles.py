"""The tiles of an image: they cover it, overlap enough, and lie within it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detkit.data.tiles import Tile, check_tiles, cover, starts

SIDES = st.integers(1, 160)
SHARES = st.floats(0, 0.9)


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(1, 90), SHARES)
def test_tiles_cover_the_image_and_lie_within_it(height, width, size, overlap):
    tiles, seen = cover(height, width, size, overlap), np.zeros((height, width), int)
    for tile in tiles:
        assert 0 <= tile.x1 < tile.x2 <= width and 0 <= tile.y1 < tile.y2 <= height
        assert tile.of(seen).shape == (min(size, height), min(size, width))
        tile.of(seen)[:] += 1
    assert seen.min() >= 1
    assert len(set(tiles)) == len(tiles)


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 300), SHARES)
def test_neighbours_share_enough_and_no_tile_is_too_many(side, size, overlap):
    firsts = starts(side, size, overlap)
    assert firsts[0] == 0 and firsts[-1] == max(0, side - size)
    shared = size - np.diff(firsts)
    step = max(1, size - int(np.ceil(size * overlap - 1e-9)))
    assert (shared >= min(size - 1, size * overlap - 1e-6)).all()
    # One tile less, with the largest step that is allowed, does not reach the end.
    assert len(firsts) == 1 or (len(firsts) - 2) * step + size < side


def test_the_last_tiles_are_moved_back():
    assert starts(1000, 400, 0.25) == [0, 300, 600]
    assert starts(1001, 400, 0.25) == [0, 300, 600, 601]
    assert starts(640, 640, 0.2) == starts(639, 640, 0.2) == [0]
    assert starts(300, 100, 0) == [0, 100, 200]
    # 0.1 * 30 is a little more than 3 in floating point: three pixels are shared, not four
    assert starts(57, 30, 0.1) == [0, 27]


def test_rows_come_first():
    assert cover(50, 90, 60, 0.5) == [Tile(0, 0, 60, 50), Tile(30, 0, 90, 50)]
    assert Tile(3, 4, 9, 8).origin.tolist() == [3, 4, 3, 4]


@pytest.mark.parametrize(
    ("size", "overlap", "name"),
    [(0, 0.2, "size"), (True, 0.2, "size"), (9.5, 0.2, "size"), (64, 0.91, "overlap"),
     (64, -0.1, "overlap"), (64, float("nan"), "overlap")],
)  # fmt: skip
def test_what_no_tile_can_have(size, overlap, name):
    with pytest.raises(ValueError, match=f"{name}: expected"):
        check_tiles(size, overlap)
