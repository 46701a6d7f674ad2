"""Small pictures of images, made by decoder processes, for a page that holds them."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featx.batches import DecodeOptions, Decoders
from featx.errors import DecoderError
from featx.pipeline.filling.job import RunOptions
from featx.spec import PixelRules
from featx.words import counted

logger = logging.getLogger(__name__)

BUDGET_BYTES = 4_000_000
"""Size of all thumbnails together: some 700 photos, and a page that a mail still takes."""
SIDE = 176
"""Pixels of a thumbnail's longer side: sharp enough on a phone, about 5 kB."""
SECONDS = 60.0
"""Time for the thumbnails of one list: some 10,000 photos of 500 x 375 pixels on two cores."""
SECONDS_FOR_ONE = 10.0
"""Time for one thumbnail, where the run's own limit isn't shorter."""
DECODER = "featx.images:thumbnail_into"

_PROCESSES = 4
_BATCH = 8  # few are made in vain where the budget ends


class Thumbnailer:
    """Decoder processes that make thumbnails: a context manager, to be entered before anything else is computed.

    The processes need a third of a second to start, while this one can work. A file that takes a decoder too long, or
    ends it, costs its own thumbnail.

    Parameters
    ----------
    options : RunOptions, optional
        Decoder processes, and their limits.
    """

    def __init__(self, options: RunOptions | None = None) -> None:
        options = options or RunOptions()
        how = DecodeOptions(
            workers=min(options.decoders, _PROCESSES),
            batch_size=_BATCH,
            timeout_s=min(options.timeout, SECONDS_FOR_ONE),
            max_pixels=options.max_pixels,
        )
        self._decoders: Decoders | None = Decoders(PixelRules(image_size=(SIDE, SIDE)), how, decoder=DECODER)

    def __enter__(self) -> Self:
        try:
            if self._decoders is not None:
                self._decoders.__enter__()
        except DecoderError as error:
            self._give_up(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._decoders is not None:
            self._decoders.close()

    def thumbnails(
        self,
        root: Path | str,
        paths: Iterable[str],
        *,
        digests: Mapping[str, bytes],
        budget_bytes: int = BUDGET_BYTES,
    ) -> dict[str, bytes]:
        """Make thumbnails of images, in the order given, until a budget is spent.

        Parameters
        ----------
        root : path
            Folder that the paths are below; of ``""``, which says that it isn't known, there are no thumbnails.
        paths : iterable of str
            The most important first; of a path given twice the first counts.
        digests : mapping of str to bytes
            SHA-256 that each file must have: one that was changed since isn't what was scored.
        budget_bytes : int
            Of all thumbnails together. The first one that would exceed it ends the work, so that what is there
            is always the most important part.

        Returns
        -------
        dict of str to bytes
            A JPEG file for each path, in the order given. An image that is gone, changed or can't be read is absent,
            and one that takes its decoder too long; it is logged how many there are.
        """
        found: dict[str, bytes] = {}
        lost: Counter[str] = Counter()
        spent = 0
        wanted = list(dict.fromkeys(paths)) if str(root) and Path(root).is_dir() else []
        for path, made in self._in_order(Path(root), wanted, digests, lost):
            spent += len(made)
            if spent > budget_bytes:
                break
            found[path] = made
        if lost:
            reasons = ", ".join(f"{count} {reason}" for reason, count in lost.most_common())
            logger.warning(
                "%s no small picture on the page: %s", counted(lost.total(), "image has", "images have"), reasons
            )
        return found

    def _in_order(
        self, root: Path, wanted: list[str], digests: Mapping[str, bytes], lost: Counter[str]
    ) -> Iterator[tuple[str, bytes]]:
        """Yield paths with their thumbnails, and count the reasons for which others have none."""
        if not wanted or self._decoders is None:
            return
        done = 0
        try:
            for batch in self._decoders.batches(root, enumerate(wanted), until=time.monotonic() + SECONDS):
                done += len(batch.decoded) + len(batch.failures)
                lost.update(failure.reason for failure in batch.failures)
                for slot, digest, image in zip(
                    batch.decoded.slots.tolist(), batch.decoded.digests, batch.images, strict=True
                ):
                    if digest.tobytes() == digests.get(wanted[slot]):
                        yield wanted[slot], _file(image)
                    else:
                        lost["changed"] += 1
            if done < len(wanted):
                lost[f"not read within {SECONDS:g} s"] = len(wanted) - done
        except DecoderError as error:
            self._give_up(error)

    def _give_up(self, error: DecoderError) -> None:
        logger.warning("the page has no small pictures: %s", error)
        if self._decoders is not None:
            self._decoders.close()
            self._decoders = None


def _file(place: NDArray[np.uint8]) -> bytes:
    """Take the JPEG file that `featx.images.thumbnail_into` wrote in the place of an image's pixels."""
    record = place.reshape(-1)
    length = int.from_bytes(record[:4].tobytes(), "little")
    return record[4 : 4 + length].tobytes()
