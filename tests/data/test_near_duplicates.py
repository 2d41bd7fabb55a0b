"""Near duplicates are found through size, format and light, and other pictures are not."""

import cv2
import numpy as np
import pytest

from detkit.data.near_duplicates import (
    BITS,
    MOST_DIFFERENT,
    Fingerprint,
    fingerprint,
    gradients,
    near_duplicates,
)
from detkit.data.shapes import Shapes


@pytest.fixture(scope="module")
def pictures():
    shapes = Shapes(6, size=(320, 320))
    return [shapes.image(index) for index in range(6)]


def prints(bits):
    return [None if each is None else Fingerprint("", each) for each in bits]


def save(path, rgb, *options):
    assert cv2.imwrite(str(path), rgb[..., ::-1], list(options))
    return path


def test_copies_are_near_duplicates_and_other_pictures_are_not(pictures):
    darker = [(each * 0.85).astype(np.uint8) for each in pictures]
    halved = [cv2.resize(each, None, fx=0.5, fy=0.4) for each in pictures]
    bits = [gradients(each) for each in [*pictures, *darker, *halved]]
    assert near_duplicates(prints(bits)) == [[n, n + 6, n + 12] for n in range(6)]


def test_files_of_other_formats_and_qualities(tmp_path, pictures):
    one, other = pictures[:2]
    paths = [
        save(tmp_path / "a.png", one),
        save(tmp_path / "b.png", other),
        save(tmp_path / "c.jpg", one, cv2.IMWRITE_JPEG_QUALITY, 50),
        tmp_path / "a copy.png",
        tmp_path / "broken.png",
        tmp_path / "broken copy.png",
        tmp_path / "none.png",
    ]
    paths[3].write_bytes(paths[0].read_bytes())
    for path in paths[4:6]:
        path.write_bytes(paths[0].read_bytes()[:500])
    found = [fingerprint(path) for path in paths]
    assert near_duplicates(found) == [[0, 2, 3], [1], [4], [5], [6]]
    assert found[0].sha256 == found[3].sha256 != found[2].sha256
    assert [each is None for each in found] == [False] * 4 + [True] * 3


def test_a_reduced_decoding_gives_nearly_the_same_bits(tmp_path, pictures):
    large = cv2.resize(pictures[0], (1280, 960), interpolation=cv2.INTER_CUBIC)
    bits = fingerprint(save(tmp_path / "large.jpg", large)).gradients
    assert (bits != gradients(large)).sum() < MOST_DIFFERENT / 2


def test_groups_are_those_of_an_oracle_that_walks_from_picture_to_picture():
    count = 560  # more than are compared at once
    rng = np.random.default_rng(0)
    centres = rng.random((300, BITS)) < 0.5
    bits = centres[rng.integers(300, size=count)] ^ (rng.random((count, BITS)) < 0.06)
    known = rng.random(count) < 0.98
    expected, seen = [], set()
    for first in range(count):
        group, new = set(), {first} - seen
        while new:
            group |= new
            near = [(bits != bits[each]).sum(axis=1) <= MOST_DIFFERENT for each in new]
            reached = np.flatnonzero(np.any(near, axis=0) & known) if known[first] else ()
            new = set(reached) - group
        seen |= group
        expected += [sorted(group)] if group else []
    assert near_duplicates(prints([b if k else None for b, k in zip(bits, known)])) == expected
    assert 200 < len(expected) < 350


def test_a_is_with_c_through_b_and_nothing_is_with_nothing():
    base = np.zeros(BITS, bool)
    chain = [base.copy() for _ in range(3)]
    chain[1][:MOST_DIFFERENT] = True
    chain[2][: 2 * MOST_DIFFERENT] = True
    assert near_duplicates(prints([chain[0], chain[2]])) == [[0], [1]]
    assert near_duplicates(prints([chain[0], chain[2], chain[1]])) == [[0, 1, 2]]
    chain[1][MOST_DIFFERENT] = True
    assert near_duplicates(prints(chain[:2])) == [[0], [1]]
    assert near_duplicates([]) == []
