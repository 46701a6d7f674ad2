"""Complaints of typer about a command line, in plain words."""

import re

_PLAIN = (
    (r"Input should be greater than or equal to (\S+)", r"it must be \1 or more"),
    (r"Input should be greater than (\S+)", r"it must be more than \1"),
    (r"Input should be less than or equal to (\S+)", r"it must be \1 or less"),
    (r"Input should be less than (\S+)", r"it must be less than \1"),
    (r"Input should be a valid integer.*", "it must be a whole number"),
    (r"Input should be a valid number.*", "it must be a number"),
    (r"Input should be a finite number.*", "it must be a finite number"),
    (r"(\S+) is not in the range x>=(\S+?)\.?", r"\1 is too small, it must be \2 or more"),
    (r"(.+) is not a valid (?:int|integer)\.?", r"\1 is not a whole number"),
    (r"(.+) is not a valid float\.?", r"\1 is not a number"),
    (r"Value error, (.+) is not one of (.+?)\.?", r"\1 is unknown; choose one of \2"),
    (r"Got unexpected extra arguments? ?(?:\(s\) )?\((.+)\)", r"Too many words: \1"),
)
"""Messages of pydantic and click, and what is shown in their place."""


def plainly(message: str) -> str:
    """Write a complaint in plain words; one that isn't known stays as it is.

    >>> plainly("Input should be greater than or equal to 1")
    'it must be 1 or more'
    """
    for pattern, plain in _PLAIN:
        if (found := re.fullmatch(pattern, message, re.DOTALL)) is not None:
            return found.expand(plain)
    return message
