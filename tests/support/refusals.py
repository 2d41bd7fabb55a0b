"""What an error about wrong arguments must say, whatever its words."""

import pytest


def assert_refused(make, *fragments, **wrong):
    """``make(**wrong)`` raises a ValueError that names each argument and shows its value.

    fragments: other content of the message, such as the values that are expected.
    """
    with pytest.raises(ValueError) as raised:
        make(**wrong)
    message = str(raised.value)
    for fragment in (*wrong, *map(repr, wrong.values()), *fragments):
        assert fragment in message, message
