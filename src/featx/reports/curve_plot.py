"""The picture of a learning curve."""

import io
from pathlib import Path

from featx.files import write_whole
from featx.reports.curve import Curve
from featx.reports.drawing import own_settings
from featx.reports.plot import _DPI, _TITLE_COLUMNS, _drawable, _shortened

_LINE = "#08519c"  # the dark end of the confusion matrix's hue
_SIZE = (7.2, 4.6)  # inches


@own_settings()
def plot_curve(curve: Curve, path: Path | str) -> None:
    """Draw a learning curve into a PNG file.

    Accuracy against images per class, on an axis where each doubling is as long as any other: the mean as a line, its
    interval as a band, each draw as a dot.

    Parameters
    ----------
    curve : Curve
        Of one size or more.
    path : Path or str
        The PNG file, written whole or not at all; folders are made, a file there is replaced.

    Raises
    ------
    FeatxError
        The file can't be written.

    Notes
    -----
    Needs no display, and leaves pyplot and its settings alone.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, NullLocator

    first = f"Learning curve: {curve.name}" + (" (untrained backbone)" if curve.untrained else "")
    _, title, families = _drawable((), [first, f"tested on {curve.tested_on}"])
    sizes = [row.images_per_class for row in curve.rows]
    level = curve.rows[-1].interval.level

    figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xscale("log", base=2)
    axes.fill_between(
        sizes,
        [100 * row.interval.low for row in curve.rows],
        [100 * row.interval.high for row in curve.rows],
        color=_LINE,
        alpha=0.18,
        linewidth=0,
        label=f"{100 * level:g} % interval",
    )
    for row in curve.rows:
        dots = [100 * score for score in row.scores]
        label = "single draws" if row is curve.rows[0] else None
        axes.plot([row.images_per_class] * row.draws, dots, ".", color="0.55", markersize=4, zorder=2, label=label)
    axes.plot(sizes, [100 * row.accuracy for row in curve.rows], "o-", color=_LINE, zorder=3, label="accuracy")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel("training images per class")
    axes.set_ylabel("accuracy, %")
    axes.legend(loc="lower right", frameon=False)
    lines = "\n".join(_shortened(line, _TITLE_COLUMNS) for line in title)
    axes.set_title(lines, fontsize=11, fontfamily=families, parse_math=False, usetex=False)

    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, facecolor="white")
    write_whole(Path(path), picture.getvalue())
