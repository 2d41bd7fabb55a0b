"""Near matches of an unknown name, lists cut short, and what to install, for all messages.

The module lies below all packages, because configs, networks and files of weights all have names
that can be misspelt.
"""

import difflib
from typing import Iterable, List, Sequence

DISTRIBUTION = "detkit-gluon"  # the name for pip; "detkit" there is another project's


def near_matches(name: object, names: Iterable[object], most: int = 3) -> List[str]:
    """Returns up to ``most`` of ``names``, the nearest to ``name`` first, whatever their case."""
    by_lower = {str(known).lower(): str(known) for known in names}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=most)
    return [by_lower[match] for match in near]


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """Returns "; did you mean 'a' or 'b'?" for a name in a config, or "" if none is near."""
    near = near_matches(name, names)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def the_nearest(name: object, names: Iterable[object]) -> str:
    """Returns " (the nearest is 'a')" for a name in a file, or "" if none is near."""
    near = near_matches(name, names, most=1)
    return f" (the nearest is {near[0]!r})" if near else ""


def first_few(names: Sequence[object], most: int = 5) -> str:
    """Returns the first names of a list, separated by commas, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def counted(number: int, noun: str) -> str:
    """Returns "1 image" or "2 images"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def install(extra: str) -> str:
    """Returns the command that installs the packages of an extra, "pip install 'NAME[extra]'"."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
