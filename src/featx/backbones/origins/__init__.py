"""The places that backbones come from, one file each.

``applications``  networks of Keras Applications: published weights that Keras downloads into its cache
``packages``      networks whose published weights are in a package of their own
``formulas``      networks that are computed and have no weights

The first two have the same functions, those of `Origin`.
"""

from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from featx.backbones.table import Entry


class Origin(Protocol):
    """The published weights of a backbone."""

    def find(self, entry: Entry, *, top: bool) -> Path | None:
        """Find the file on this machine; one with the top serves a network without it as well."""

    def obtain(self, entry: Entry, *, top: bool) -> Path:
        """Return the file, fetched if need be; a `WeightsError` says what to put where."""

    def read(self, path: Path, network: Any, entry: Entry, *, top: bool) -> list[NDArray[Any]]:
        """Read its tensors in the order of a network's variables."""

    def check(self, network: Any, entry: Entry, path: Path, *, top: bool) -> None:
        """Refuse, by a `WeightsError`, a filled network whose tensors aren't the published ones."""


def origin(entry: Entry) -> Origin:
    """Return the origin of a backbone that has weights."""
    if entry.package is not None:
        from featx.backbones.origins import packages

        return packages
    from featx.backbones.origins import applications

    return applications


def cached(entry: Entry, *, top: bool) -> Path | None:
    """Find the published weights on this machine; None where they aren't, or where a formula has none."""
    return None if entry.formula else origin(entry).find(entry, top=top)
