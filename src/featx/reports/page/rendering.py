"""The page as one HTML file."""

import base64
import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.reports.page.content import Pictures, gathered
from featx.reports.page.sections import head, sections
from featx.reports.page.text import embedded, escaped, moment
from featx.reports.report import Report
from featx.version import __version__


def render(
    report: Report,
    *,
    thumbnails: Mapping[str, bytes],
    training: Mapping[str, bytes] | None = None,
    positions: NDArray[np.float32] | None = None,
) -> str:
    """Make the page of a report: one HTML file that needs nothing else, and no network.

    Parameters
    ----------
    report : Report
        What scoring found. Without its columns of images the page has figures and tables, but no images.
    thumbnails : mapping of str to bytes
        JPEG files by the paths that the report has; `wanted` says which, the most important first. An image without
        one is shown by its name.
    training : mapping of str to bytes, optional
        The same of the training images in leaked pairs (`wanted_training`), whose paths are below another folder.
    positions : (n, 2) float32, optional
        Where each of the report's images is on the map; NaN for those that aren't.

    Returns
    -------
    str
        HTML. Its size is about 4/3 of the thumbnails, 60 bytes for each of at most 20,000 images, and 2 MB for
        plotly.js (compressed) where there is a map. A policy inside it forbids any connection, and any script
        but its own, whatever the names of classes and files hold.

    Raises
    ------
    UsageError
        `positions` aren't one per image of the report.
    """
    n = 0 if report.images is None else len(report.images)
    if positions is not None and positions.shape != (n, 2):
        raise UsageError(f"a map of shape {positions.shape} for a report of {n} images; give (x, y) of each image")
    data = gathered(report, Pictures(thumbnails, training or {}), positions)
    parts = sections(report, data)
    own = "\n".join(_file(name) for name in ("page.js", "map.js"))
    plotting, digest = _plotting() if data["map"] else ("", "")
    closed = "default-src 'none'; base-uri 'none'; form-action 'none'"
    policy = f"{closed}; img-src data:; style-src 'unsafe-inline'; script-src '{_digest(own)}'"
    return Template(_file("page.html")).substitute(
        policy=f"{policy} '{digest}'" if digest else policy,
        generator=f"featx {escaped(__version__)}",
        title=f"{escaped(report.model)} · featx",
        css=_file("page.css"),
        head=head(report, parts),
        sections="\n".join(part.html for part in parts),
        created=escaped(moment(report.created)),
        data=embedded(data),
        plotting=plotting,
        js=own,
    )


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _plotting() -> tuple[str, str]:
    """plotly.js, compressed to a third, and the digest under which the policy lets it run."""
    from plotly.offline import get_plotlyjs

    code = get_plotlyjs()
    return base64.b64encode(gzip.compress(code.encode(), mtime=0)).decode("ascii"), _digest(code)


def _digest(code: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
