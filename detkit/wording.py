"""The near matches of a name that is not known, in the words of every message.

It stands below all packages, since networks and files of weights have names to mistake as well.
"""

import difflib
from typing import Iterable, List


def near_matches(name: object, names: Iterable[object], most: int = 3) -> List[str]:
    """Up to ``most`` of ``names``, nearest to ``name`` first; capitals make no difference."""
    by_lower = {str(known).lower(): known for known in names}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=most)
    return [by_lower[match] for match in near]


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """ "; did you mean 'a' or 'b'?" of a name that somebody wrote, or "" if none is near."""
    near = near_matches(name, names)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def the_nearest(name: object, names: Iterable[object]) -> str:
    """ " (the nearest is 'a')" of a name that stands in a file, or "" if none is near."""
    near = near_matches(name, names, most=1)
    return f" (the nearest is {near[0]!r})" if near else ""
