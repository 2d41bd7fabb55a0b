"""The maps that a part uses: those of a backbone by their strides, those of a neck by number."""

from typing import List, Optional, Sequence, Union

LevelChoice = Optional[Union[int, Sequence[int]]]  # see chosen_levels


def maps_of_strides(out_strides: Sequence[int], strides: Sequence[int]) -> List[int]:
    """Returns the indices of the maps that a backbone's ``out_strides`` asks for, finest first.

    strides: the strides of all maps that the backbone can return, finest first. If several maps
        have one stride, as in a dilated ResNet, that stride means the last of them; written twice,
        it means the last two.

    Raises ValueError if ``out_strides`` is empty, is not ordered, or has a stride more often than
    the backbone does.
    """
    wanted, available = list(out_strides), list(strides)
    too_many = any(wanted.count(stride) > available.count(stride) for stride in wanted)
    if not wanted or wanted != sorted(wanted) or too_many:
        raise ValueError(
            f"out_strides: expected one or more of {', '.join(map(str, available))}, finest first, "
            f"found {wanted}"
        )
    numbers = []
    for stride in sorted(set(wanted)):
        same = [number for number, each in enumerate(available) if each == stride]
        numbers += same[-wanted.count(stride) :]
    return numbers


def chosen_levels(levels: LevelChoice, count: int) -> slice:
    """Returns the slice of ``count`` maps that ``levels`` stands for.

    levels: None for all maps; a number n for the first n; or a list of consecutive indices, where 0
        is the finest map: [2] is the third alone, [1, 2] the second and the third.

    Raises ValueError if there are no such maps, or if the indices are not consecutive.
    """
    if levels is None or isinstance(levels, int):
        last = count if levels is None else levels
        if not 1 <= last <= count:
            raise ValueError(f"levels: expected 1 to {count}, the number of maps, found {last}")
        return slice(0, last)
    numbers = list(levels)
    if not numbers or numbers != list(range(count)[numbers[0] : numbers[-1] + 1]):
        raise ValueError(
            f"levels: expected consecutive indices of maps, 0 to {count - 1}, found {numbers}"
        )
    return slice(numbers[0], numbers[-1] + 1)
