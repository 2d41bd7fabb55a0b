"""Which of a list of feature maps a part looks at, as configs say it."""

from typing import Optional, Sequence, Union

LevelChoice = Optional[Union[int, Sequence[int]]]


def chosen_levels(levels, count):
    """The slice of ``count`` maps that ``levels`` stands for.

    levels: None, all; a number, the first so many; or their numbers, 0 the finest: [2] is the third
        alone, [1, 2] the second and the third.

    Raises ValueError where there are no such maps, or they are not next to each other.
    """
    if levels is None or isinstance(levels, int):
        last = count if levels is None else levels
        if not 1 <= last <= count:
            raise ValueError(f"levels is 1 to {count}, the maps there are, not {last}")
        return slice(0, last)
    numbers = list(levels)
    if not numbers or numbers != list(range(count)[numbers[0] : numbers[-1] + 1]):
        raise ValueError(f"levels are consecutive numbers of maps, 0 to {count - 1}, not {numbers}")
    return slice(numbers[0], numbers[-1] + 1)
