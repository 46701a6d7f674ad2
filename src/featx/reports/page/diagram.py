"""The reliability diagram, as SVG that takes the page's colours."""

from featx.reports.page.text import count, ends, share
from featx.statistics.reliability import Reliability

# Of the drawing, in its own units: the plane, and the room that the words beside it need.
_WIDTH, _HEIGHT = 400, 300
_LEFT, _TOP, _SIDE_X, _SIDE_Y = 66, 10, 325, 235
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def reliability(found: Reliability) -> str:
    """Draw the share that is right against the confidence, bin by bin, and give the same as a table."""
    dots = "".join(
        f'<line class="interval" x1="{_x(one.confidence):.1f}" x2="{_x(one.confidence):.1f}" '
        f'y1="{_y(one.interval.low):.1f}" y2="{_y(one.interval.high):.1f}"/>'
        f'<circle class="dot" cx="{_x(one.confidence):.1f}" cy="{_y(one.accuracy):.1f}" r="5"/>'
        for one in found.bins
    )
    rows = "".join(
        f'<tr><th scope="row">{share(one.confidence)}</th><td>{one.n:,}</td>'
        f"<td>{share(one.accuracy)}<small>{ends(one.interval)}</small></td></tr>"
        for one in found.bins
    )
    return (
        f"<p>{_answer(found)}</p>\n"
        '<p class="quiet">Each dot is a group of images of similar confidence; the line through it is its 95 % '
        "interval. If a dot is on the dashed line, the confidence is right. Below the dashed line the model is too "
        "sure, above it not sure enough.</p>\n"
        f'<svg class="diagram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Reliability diagram: the share '
        f'of images predicted rightly in {count(len(found.bins), "group")} by confidence, as in the table below">'
        f'{_frame()}<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>{dots}</svg>\n'
        "<details><summary>The groups as a table</summary>"
        '<div class="scroll" role="region" aria-label="Groups by confidence" tabindex="0">'
        '<table class="list"><thead><tr>'
        '<th scope="col">Mean confidence</th><th scope="col">Images</th>'
        f'<th scope="col">Right</th></tr></thead><tbody>{rows}</tbody></table></div></details>'
    )


def _answer(found: Reliability) -> str:
    """Say in one sentence how far stated and real confidence are apart."""
    most = f"{100 * found.interval.high:.1f}"
    if round(found.interval.low, 3) <= 0:
        return f"No difference between stated and real confidence can be seen (at most {most} points)."
    return (
        f"The stated confidence is off by {100 * found.error:.1f} points on average (95 % interval "
        f"{100 * found.interval.low:.1f} to {most} points)."
    )


def _frame() -> str:
    across = "".join(
        f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(tick)}" y2="{_y(tick)}"/>'
        f'<text x="{_LEFT - 8}" y="{_y(tick) + 4}" text-anchor="end">{100 * tick:g} %</text>'
        for tick in _TICKS
    )
    along = "".join(
        f'<text x="{_x(tick)}" y="{_y(0) + 20}" text-anchor="{anchor}">{100 * tick:g} %</text>'
        for tick, anchor in zip(_TICKS, ("middle", "middle", "middle", "middle", "end"), strict=True)
    )
    return (
        f'{across}{along}<text x="{_x(0.5)}" y="{_HEIGHT - 10}" text-anchor="middle">stated confidence</text>'
        f'<text x="14" y="{_y(0.5)}" text-anchor="middle" transform="rotate(-90 14 {_y(0.5)})">'
        "share that is right</text>"
    )


def _x(value: float) -> float:
    return _LEFT + _SIDE_X * value


def _y(value: float) -> float:
    return _TOP + _SIDE_Y * (1 - value)
