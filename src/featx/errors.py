"""The errors that featx raises on purpose.

Every error holds what was asked, what was found and what to do, in one line.

::

    FeatxError                  the run failed (exit code 1)
    ├── UsageError              an option that makes no sense (exit code 2)
    ├── SourceError             a folder or CSV that can't be taken as images
    ├── WeightsError            weights missing, not downloadable or of another network
    ├── StoreError              a file that is no whole feature store
    │   ├── SpecMismatch        two things made under different specs
    │   └── StoreInUse          another process is writing the same store
    ├── ModelError              a file that is no model of featx
    ├── DataError               features and labels that no classifier can be fitted on
    ├── ImageError              one image that can't be read (never ends a run)
    ├── DecoderError            decoder processes that can't be started at all
    ├── TooManyFailures         done, but more images failed than allowed (exit code 3)
    └── Interrupted             stopped by the user, the work so far kept (exit code 130)

    UnreadableWarning           images that can't be read are left out (a warning, no error)

Anything else that escapes is a bug and keeps its traceback.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Literal, get_args

Reason = Literal[
    "missing", "unreadable", "empty", "not-an-image", "truncated", "too-large", "unsupported", "crashed", "timeout"
]
"""Why an image has no row.

missing
    The file is no longer there (or is a dangling link).
unreadable
    The operating system refused to read it.
empty
    It has no bytes.
not-an-image
    Its bytes are of no known image format.
truncated
    An image format, but data is cut off or corrupt.
too-large
    Its header announces more pixels than allowed, or decoding it would take more work or memory than any picture needs.
unsupported
    An image format that featx doesn't decode.
crashed, timeout
    The decoder process died of it, or was still busy with it after the time allowed.
"""

REASONS: tuple[Reason, ...] = get_args(Reason)

_OTHER_KINDS = (
    ".bib .csv .db .doc .docx .htm .html .ini .ipynb .json .log .mat .md .npy .npz .parquet .pdf .pkl .py .rst .rtf "
    ".tex .toml .tsv .txt .xls .xlsx .xml .yaml .yml .zip"
)
OTHER_KINDS = frozenset(_OTHER_KINDS.split())
"""Suffixes of files that lie beside images and are none."""


def is_of_another_kind(path: str, reason: str) -> bool:
    """Tell whether a file without a row is none that anybody takes for an image, by its name and its content."""
    return reason in ("not-an-image", "empty") and PurePath(path).suffix.lower() in OTHER_KINDS


class FeatxError(Exception):
    """The base of every error that featx raises on purpose."""

    exit_code = 1


class UsageError(FeatxError, ValueError):
    """An option, or a combination of options, that makes no sense."""

    exit_code = 2


class SourceError(FeatxError):
    """A folder, file or CSV that can't be taken as a list of images."""


class WeightsError(FeatxError):
    """Weights that are missing, can't be downloaded, or belong to another network."""


class StoreError(FeatxError):
    """A file that is not a whole feature store, or can't become one."""


class SpecMismatch(StoreError):
    """Two things that should be joined were made under different specs.

    Attributes
    ----------
    differences : mapping of str to (Any, Any)
        The fields that differ, each with the wanted and the found value.
    """

    def __init__(self, message: str, differences: Mapping[str, tuple[Any, Any]]) -> None:
        fields = "; ".join(
            f"`{name}`: expected {wanted!r}, found {found!r}" for name, (wanted, found) in differences.items()
        )
        super().__init__(f"{message} ({fields})")
        self.differences = dict(differences)


class StoreInUse(StoreError):
    """Another process is writing the same feature store."""


class ModelError(FeatxError):
    """A file that is not a model written by featx, or not a safe one."""


class DataError(FeatxError):
    """Features and labels that no classifier can be fitted or scored on."""


class ImageError(FeatxError):
    """One image that can't be turned into pixels; a run records it and goes on.

    Attributes
    ----------
    reason : Reason
        The code that the feature store keeps.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


class UnreadableWarning(UserWarning):
    """Images that can't be read are left out of a result, which names each of them with its reason.

    Given by `featx.extract`, `featx.score` and `featx.predict`, once for each call.
    ``warnings.simplefilter("ignore", featx.UnreadableWarning)`` silences it.
    """


class DecoderError(FeatxError):
    """The decoder processes can't be started or keep dying without an image to blame."""


class TooManyFailures(FeatxError):
    """The run is done and kept, but more images failed than ``strict`` or ``max_errors`` allow."""

    exit_code = 3


class Interrupted(FeatxError):
    """The user stopped the run; the work so far is kept and the next run completes it."""

    exit_code = 130
