"""The numbers of a config for one's own data: sizes from the boxes, the rest from the machine."""

import numpy as np
import pytest

from detkit.data.own_config import LONGEST, MOST_BATCH, SHORTEST, Machine, length_of, short_side


@pytest.mark.parametrize(
    ("images", "machine", "epochs", "batch", "lr"),
    [
        (205, Machine(2, 16), 15, 1, 0.005),  # BCCD on two cores
        (205, Machine(8, 16), 59, 2, 0.01),
        (205, Machine(64, 256), 100, MOST_BATCH, 0.02),
        (205, Machine(64, 3), 100, 1, 0.005),  # memory for one image
        (10, Machine(64, 256), 100, 1, 0.005),
        (100_000, Machine(2, 16), 1, 1, 0.005),
        (1, Machine(1, 1), 100, 1, 0.005),
    ],
)
def test_the_length_and_the_batches_fit_machine_and_data(images, machine, epochs, batch, lr):
    found = length_of(images, machine)
    assert (found.epochs, found.batch_size, found.lr) == (epochs, batch, lr)
    assert found.warmup <= epochs * images / batch / 10
    assert 1 <= found.every <= max(epochs / 10, 1)


@pytest.mark.parametrize(
    ("side", "image", "short"),
    [
        (100, (640, 480), SHORTEST),  # large objects need no large images
        (60, (640, 480), 512),  # half of them have 64 pixels then
        (10, (1920, 1080), LONGEST),  # small ones need more than a CPU can do
        (10, (250, 250), 512),  # twice the images' size
        (10, (60, 40), SHORTEST),
    ],
)
def test_the_short_side_is_the_least_that_shows_the_objects(side, image, short):
    sides, images = np.full((50, 2), side, float), np.tile(np.array(image, float), (50, 1))
    found, long = short_side(sides, images)
    assert (found, found % 32, long % 32) == (short, 0, 0)
    assert found * 4 / 3 <= long <= 2 * found + 32
    if SHORTEST < found < LONGEST and side >= 60:
        assert (found - 32) * side / min(image) < 64 <= found * side / min(image)


def test_few_small_objects_among_large_ones_are_seen():
    images = np.tile([640.0, 480.0], (100, 1))
    sides = np.full((100, 2), 200.0)
    sides[:10] = 15
    assert short_side(sides, images)[0] == 512  # 16 pixels at the input
