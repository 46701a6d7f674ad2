"""Text as fixed-length UTF-8, and its bytes in a second column where they aren't UTF-8."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import StoreError

RAW = "_raw"
"""End of the name of the column that holds the bytes themselves."""

MAX_ATTRIBUTE = 32 * 1024
"""Longest text attribute in bytes: HDF5 has room for 64 KB in all of one attribute."""


def encode(name: str, values: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Encode texts as a column of fixed length, and as a second column of bytes if some aren't UTF-8.

    Parameters
    ----------
    name : str
        Name of the column.
    values : sequence of str, length n
        Bytes that are no UTF-8 stand as surrogate escapes, as `os.fsdecode` gives them.

    Returns
    -------
    dict of str to array
        ``name``: (n,) fixed-length UTF-8; ``name_raw``, only where needed: (n, width) uint8, filled up with zeros.

    Raises
    ------
    StoreError
        A value holds a NUL, which ends a text in HDF5.
    """
    raw = [value.encode("utf-8", "surrogateescape") for value in values]
    for value in raw:
        if b"\0" in value:
            raise StoreError(f"{name}: {value!r} contains a NUL character, which a feature store can't hold; rename it")
    columns: dict[str, NDArray[Any]] = {}
    if any(not value.isascii() for value in raw):
        readable = [value.decode("utf-8", "replace").encode() for value in raw]
        if readable != raw:
            columns[name + RAW] = _fixed(raw)[:, None].view(np.uint8)
            raw = readable
    columns[name] = _fixed(raw)
    return columns


def decode(columns: Mapping[str, NDArray[Any]], name: str) -> tuple[str, ...]:
    """Decode a column of text, from its column of bytes if there is one."""
    values = columns[name]
    if (raw := columns.get(name + RAW)) is not None:
        values = np.ascontiguousarray(raw).view(f"S{raw.shape[1]}")[:, 0]
    return tuple([value.decode("utf-8", "surrogateescape") for value in values.tolist()])


def encode_attribute(name: str, value: str) -> dict[str, NDArray[Any]]:
    """Encode a text as an attribute, and as a second one of bytes if it isn't UTF-8.

    Raises
    ------
    StoreError
        The text is too long for an attribute, or holds a NUL.
    """
    columns = encode(name, [value])
    if columns[name].nbytes > MAX_ATTRIBUTE:
        raise StoreError(
            f"{name}: {columns[name].nbytes:,} bytes are too long for an attribute (the limit is {MAX_ATTRIBUTE:,})"
        )
    return {key: column[0, ...] for key, column in columns.items()}


def decode_attribute(attributes: Mapping[str, NDArray[Any]], name: str) -> str:
    """Decode a text attribute, from its attribute of bytes if there is one."""
    keys = [key for key in (name, name + RAW) if key in attributes]
    return decode({key: attributes[key][None] for key in keys}, name)[0]


def _fixed(values: list[bytes]) -> NDArray[np.bytes_]:
    return np.array(values, dtype=f"S{max(map(len, values), default=0) or 1}")
