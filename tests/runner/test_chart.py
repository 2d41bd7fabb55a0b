"""The panels of a chart: where their points are, and the numbers at their axes."""

import numpy as np
import pytest

from detkit.runner.chart import Line, draw_panel, label, ticks

RED = (200, 0, 0)


def red(panel):
    """The rows and columns of the red pixels, also of pale ones at the edges of lines."""
    red, green, _ = np.moveaxis(panel.astype(int), 2, 0)
    return np.nonzero(red - green > 60)


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    panel = draw_panel("loss", [Line("", [0, 100], [0, 1.0], RED)], (400, 700), last=100)
    assert panel.shape == (400, 700, 3)
    rows, columns = red(panel)
    assert len(rows) > 300
    assert rows[columns.argmin()] > 300
    assert rows[columns.argmax()] < 100
    assert np.corrcoef(rows, columns)[0, 1] < -0.99


def test_a_far_larger_value_is_cut_off_at_the_edge():
    values = [1000.0, *[1.0] * 40]
    panel = draw_panel("loss", [Line("", list(range(41)), values, RED)], (400, 700), last=40)
    rows, columns = red(panel)
    assert rows.min() < 60
    right = rows[columns > 200]
    assert 200 < right.min() <= right.max() < 300  # a third of the height, and not at the bottom


def test_a_dashed_line_has_gaps_of_its_own():
    steps, values = list(range(101)), [0.5] * 101
    lines = [Line("", steps, values, RED, dashed) for dashed in (False, True)]
    drawn = [len(red(draw_panel("", [line], (300, 700), 100))[0]) for line in lines]
    assert 0.4 * drawn[0] < drawn[1] < 0.8 * drawn[0]


@pytest.mark.parametrize(
    "values", [[], [0.0], [0.0, 0.0], [-1.0], [1e-30], [1e30, 1.0], [5.0] * 1000]
)
def test_any_numbers_can_be_drawn(values):
    line = Line("any", list(range(len(values))), values, RED)
    assert draw_panel("loss", [line], (200, 300), last=0, empty="none").shape == (200, 300, 3)


def test_a_legend_of_many_lines_takes_several_rows():
    lines = [Line(f"part_{number}", [0, 1], [1, 1], RED) for number in range(20)]
    rows, _ = red(draw_panel("", lines, (400, 500), last=1))
    assert len(np.unique(rows[rows < 200])) >= 8


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 9090, [0, 2000, 4000, 6000, 8000]),
        (0, 0.0106, [0, 0.005, 0.01]),
        (0, 1.01, [0, 0.5, 1]),
    ],
)
def test_ticks_are_round_numbers(low, high, found):
    assert ticks(low, high, 6) == pytest.approx(found)
    assert len(ticks(low, high, 6)) <= 6


def test_labels_are_short():
    shown = [label(value) for value in (0, 0.25, 500, 2500, 80000, 1.5e6, 2e-5, 0.1 + 0.2)]
    assert shown == ["0", "0.25", "500", "2.5k", "80k", "1.5M", "2e-5", "0.3"]
