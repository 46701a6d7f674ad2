"""The warning that images have no row."""

import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

from featx.errors import UnreadableWarning, is_of_another_kind
from featx.manifest import Failure
from featx.pipeline.filling.job import Extraction
from featx.words import counted

_OWN = __name__.partition(".")[0]


def warn_of_unreadable(extractions: Sequence[Extraction], *, named_in: str) -> None:
    """Warn once if images of extractions have no row: an image counts once for all backbones.

    Parameters
    ----------
    extractions : sequence of Extraction
        A dry run's are left out.
    named_in : str
        Where the images are named.
    """
    by_source = {(one.store.root, one.store.split): one for one in extractions if one.store is not None}
    failures = [failure for one in by_source.values() for failure in one.failures]
    warn_of_failures(failures, found=sum(one.found for one in by_source.values()), named_in=named_in)


def warn_of_failures(failures: Iterable[Failure], *, found: int, named_in: str) -> None:
    """Warn, at the line that called featx, if some of the images that were found can't be read.

    Files that nobody takes for images are not counted.
    """
    failed = list(failures)
    reasons = Counter(one.reason for one in failed if not is_of_another_kind(one.path, one.reason))
    if not reasons:
        return
    found -= len(failed) - reasons.total()
    counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    text = (
        f"{reasons.total():,} of {counted(found, 'image')} can't be read and "
        f"{'is' if reasons.total() == 1 else 'are'} left out ({counts}): see {named_in}"
    )
    warnings.warn(UnreadableWarning(text), stacklevel=_frames_of_featx() + 1)


def _frames_of_featx() -> int:
    """Count the frames of featx above the caller's code, this one not included."""
    frame, count = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _OWN:
        frame, count = frame.f_back, count + 1
    return count - 1
