"""Numbers, lists and parameters in sentences."""

from collections.abc import Sequence

NAMED = 10
"""Names that a list has room for."""


_FLAGS = {"colours": "as"}
"""Parameters whose flag has another name."""


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


def as_flag(name: str, value: str | None = None) -> str:
    """Write a parameter of the library as the command line has it.

    >>> as_flag("batch_size", "8"), as_flag("overwrite", "True"), as_flag("flip", "False"), as_flag("clf", '"svm"')
    ('--batch-size 8', '--overwrite', '--no-flip', '--clf svm')
    """
    flag = f"--{'no-' * (value == 'False')}{_FLAGS.get(name, name).replace('_', '-')}"
    # A text is quoted in Python only.
    return flag if value in (None, "True", "False") else f"{flag} {value.strip(chr(34))}"
