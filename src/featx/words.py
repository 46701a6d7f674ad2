"""Numbers and lists in sentences."""

from collections.abc import Sequence

NAMED = 10
"""Names that a list has room for."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun, in the singular or the plural.

    >>> counted(1, "image"), counted(2000, "image"), counted(1, "image is", "images are")
    ('1 image', '2,000 images', '1 image is')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def some(names: Sequence[str], *, most: int = NAMED) -> str:
    """List the first few names, and the number of the others."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
