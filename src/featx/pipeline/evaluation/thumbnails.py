"""Small pictures of images, for a page that holds them."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from featx.errors import ImageError
from featx.images import thumbnail

logger = logging.getLogger(__name__)

BUDGET_BYTES = 4_000_000
"""Size of all thumbnails together: some 700 photos, and a page that a mail still takes."""
SIDE = 176
"""Pixels of a thumbnail's longer side: sharp enough on a phone, about 5 kB."""
MAX_FILE_BYTES = 100_000_000
"""A larger file isn't read for the sake of a thumbnail."""

_THREADS = 4
_AHEAD = 4 * _THREADS


def thumbnails(
    root: Path | str,
    paths: Iterable[str],
    *,
    digests: Mapping[str, bytes],
    budget_bytes: int = BUDGET_BYTES,
    side: int = SIDE,
) -> dict[str, bytes]:
    """Make thumbnails of images, in the order given, until a budget is spent.

    Parameters
    ----------
    root : path
        Folder that the paths are below; of ``""``, which says that it isn't known, there are no thumbnails.
    paths : iterable of str
        The most important first; of a path given twice the first counts.
    digests : mapping of str to bytes
        SHA-256 that each file must have: one that was changed since isn't what was scored, and wasn't decoded before.
    budget_bytes : int
        Of all thumbnails together. The first one that would exceed it ends the work, so that what is there
        is always the most important part.
    side : int
        Of a thumbnail's longer side, in pixels.

    Returns
    -------
    dict of str to bytes
        A JPEG file for each path, in the order given. An image that is gone, changed or can't be read is absent.
    """
    found: dict[str, bytes] = {}
    spent = 0
    wanted = list(dict.fromkeys(paths)) if str(root) else []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnails") as pool:
        for path, data in _in_order(pool, Path(root), [(path, digests.get(path)) for path in wanted], side):
            if data is None:
                continue
            spent += len(data)
            if spent > budget_bytes:
                break
            found[path] = data
    return found


def _in_order(
    pool: ThreadPoolExecutor, root: Path, wanted: list[tuple[str, bytes | None]], side: int
) -> Iterator[tuple[str, bytes | None]]:
    """Each path with its thumbnail; a few are made ahead, so that little is wasted when the budget ends."""
    waiting = iter(wanted)
    ahead: list[tuple[str, Future[bytes | None]]] = []

    def start(count: int) -> None:
        ahead.extend(
            (path, pool.submit(_thumbnail, root / path, digest, side)) for path, digest in islice(waiting, count)
        )

    start(_AHEAD)
    while ahead:
        path, future = ahead.pop(0)
        yield path, future.result()
        start(1)


def _thumbnail(file: Path, digest: bytes | None, side: int) -> bytes | None:
    try:
        # A named pipe would be read for ever.
        if not file.is_file() or file.stat().st_size > MAX_FILE_BYTES:
            logger.debug("no thumbnail of %r: no file, or one that is too large", str(file))
            return None
        data = file.read_bytes()
        if hashlib.sha256(data).digest() != digest:
            logger.debug("no thumbnail of %r: it is another image now", str(file))
            return None
        return thumbnail(data, side=side)
    except (OSError, ValueError, ImageError) as error:  # ValueError: a path with a NUL
        logger.debug("no thumbnail of %r: %s", str(file), error)
        return None
