"""The picture of a confusion matrix."""

import io
import math
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.files import write_whole
from featx.reports.drawing import own_settings
from featx.reports.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

ANNOTATED = 30
"""Up to so many classes a cell holds its count as text."""
LABELLED = 100
"""Up to so many classes every one is named beside the matrix; of more, evenly spaced ones."""

_NAME_COLUMNS = 24
_TITLE_COLUMNS = 72
_MISSING = "\N{WHITE VERTICAL RECTANGLE}"
_FONT = "DejaVu Sans"  # comes with matplotlib
_REGULAR = {("normal", weight, "normal") for weight in (400, "normal", "regular")}
_DPI = 130
_DARK = 0.51
"""Share from which white text is read better on its blue than black; the contrast is over 4.5 on either side."""


@own_settings()
def plot_confusion(report: Report, path: Path | str) -> None:
    """Draw the confusion matrix of a report into a PNG file.

    The colour of a cell is its share of the images of the true class, by the square root, so that a confusion of a few
    per cent is seen beside a diagonal near 100 %. One hue from light to dark, so that it doesn't rest on telling
    colours apart. Rows of classes without images are grey.

    Parameters
    ----------
    report : Report
        Of any number of classes.
    path : Path or str
        The PNG file, written whole or not at all; folders are made, a file there is replaced.

    Raises
    ------
    FeatxError
        The file can't be written.

    Notes
    -----
    Characters that no installed font has are drawn as boxes, after the number of their class (counted from 0). Needs
    no display, and leaves pyplot and its settings alone.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    confusion = report.metrics.confusion
    k = len(confusion)
    side = min(max(0.45 * k, 3.6), 13.0)  # inches
    names, title, families = _drawable(report.metrics.classes, _title(report))
    text: dict[str, Any] = {"fontfamily": families, "parse_math": False, "usetex": False}

    figure = Figure(figsize=(side + 1, side), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, side / (side + 1), 1.0))
    image = _matrix(axes, confusion, side=side, text=text)
    lines = "\n".join(_shortened(line, _TITLE_COLUMNS) for line in title)
    axes.set_title(lines, fontsize=max(11.0, 1.2 * side), pad=10, **text)
    labels = [_shortened(name, _NAME_COLUMNS) for name in names]
    step = math.ceil(k / LABELLED)
    size = min(max(0.7 * 72 * side * step / k, 5.0), 10.0)  # points
    ticks = range(0, k, step)
    upright = 0.75 * size * max(map(len, labels)) < 72 * side * step / k
    axes.set_xticks(ticks, labels[::step], rotation=0 if upright else 90, fontsize=size, **text)
    axes.set_yticks(ticks, labels[::step], fontsize=size, **text)
    axes.set_xlabel("predicted class", **text)
    axes.set_ylabel("true class", **text)
    bar = figure.colorbar(image, cax=figure.add_axes(((side + 0.15) / (side + 1), 0.0, 0.2 / (side + 1), 1.0)))
    shares = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
    bar.set_ticks(shares, labels=[f"{100 * share:g} %" for share in shares], **text)
    bar.set_label("share of the true class", **text)

    picture = io.BytesIO()
    # The matrix has its size, and the picture grows by what the names need: matplotlib's layouts cut them off here.
    figure.savefig(picture, format="png", dpi=_DPI, facecolor="white", bbox_inches="tight", pad_inches=0.15)
    write_whole(Path(path), picture.getvalue())


def _title(report: Report) -> list[str]:
    first = f"Confusion matrix: {report.model}" + (" (untrained backbone)" if report.untrained else "")
    return [first, report.scored_on, report.metrics.headline]


def _matrix(axes: "Axes", confusion: NDArray[np.int64], *, side: float, text: dict[str, Any]) -> "AxesImage":
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    k = len(confusion)
    support = confusion.sum(axis=1, keepdims=True)
    shares = np.ma.masked_array(confusion / np.maximum(support, 1), mask=np.broadcast_to(support == 0, confusion.shape))
    colours = colormaps["Blues"].with_extremes(bad="0.88")
    norm = PowerNorm(0.5, vmin=0.0, vmax=1.0)
    image = axes.imshow(shares, cmap=colours, norm=norm, interpolation="nearest", aspect="auto")
    if k <= LABELLED:
        edges = np.arange(k + 1) - 0.5
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(which="minor", color="0.9", linewidth=0.5)
        axes.tick_params(which="minor", length=0)
    if k > ANNOTATED:
        return image
    cell = 72 * side / k  # points
    size = min(cell / (0.75 * len(str(confusion.max()))), 0.5 * cell, 11.0)
    for row, column in np.argwhere(confusion):
        colour = "white" if shares[row, column] > _DARK else "black"
        count = str(confusion[row, column])
        axes.text(column, row, count, ha="center", va="center", fontsize=size, color=colour, **text)
    return image


def _drawable(names: Iterable[str], lines: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Names and lines of the title without what can't be drawn, and the font families to draw them with."""
    plain, title = [_plain(name) for name in names], [_plain(line) for line in lines]
    families, covered = _families({ord(character) for one in (*plain, *title) for character in one})

    def boxed(one: str) -> str:
        return "".join(character if ord(character) in covered else _MISSING for character in one)

    # Names that become nothing but boxes would all look alike.
    drawn = [name if boxed(name) == name else f"{number} {boxed(name)}" for number, name in enumerate(plain)]
    return drawn, [boxed(line) for line in title], families


def _plain(name: str) -> str:
    composed = unicodedata.normalize("NFC", name)
    spaced = "".join(" " if character.isspace() else character for character in composed)
    return "".join(character for character in spaced if unicodedata.category(character) not in {"Cc", "Cf"})


def _families(wanted: set[int]) -> tuple[list[str], set[int]]:
    """Installed font families that together have as many of the characters as can be had, matplotlib's own first."""
    from matplotlib import font_manager

    families, covered = [_FONT], _characters(font_manager.findfont(_FONT))
    missing = wanted - covered
    for entry in font_manager.fontManager.ttflist:
        if not missing:
            break
        # "Last Resort" has a box for every character there is; cm and STIX fonts place signs of mathematics anywhere.
        if entry.name in families or entry.name.startswith(("Last Resort", "cm", "STIX")):
            continue
        # A family is asked for by name alone, and matplotlib logs a warning where it has no upright, regular font.
        if (entry.style, entry.weight, entry.stretch) not in _REGULAR:
            continue
        found = _characters(entry.fname) & missing
        if found:
            families.append(entry.name)
            covered |= found
            missing -= found
    return families, covered


def _characters(font: Any) -> set[int]:
    from matplotlib.font_manager import get_font

    try:
        return set(get_font(font).get_charmap())
    except (OSError, RuntimeError):  # FreeType can't read every font that a system has
        return set()


def _shortened(name: str, columns: int) -> str:
    """Shorten in the middle: names of classes differ at either end."""
    widths = [2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in name]
    if sum(widths) <= columns:
        return name
    half = (columns - 1) // 2
    return f"{_fitting(name, widths, half)}…{_fitting(name[::-1], widths[::-1], half)[::-1]}"


def _fitting(name: str, widths: Sequence[int], columns: int) -> str:
    return name[: int(np.searchsorted(np.cumsum(widths), columns, side="right"))]
