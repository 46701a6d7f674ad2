"""The page of a comparison: approaches on the same images, and their differences, in one file without scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

from featx.reports.page.text import count, ends, escaped, moment, name, sentence, share
from featx.reports.report import Report
from featx.statistics.comparison import Comparison, Comparisons, Ranked
from featx.statistics.intervals import LEVEL, Interval
from featx.version import __version__

_STYLE = """
.list td.bar { min-width: 9rem; } .list .span { margin: .35rem 0; }
@media (max-width: 40rem) { .list .bar { display: none; } }
"""

_BAR = "From 0 to 100 %"

VERDICTS = {True: "real", False: "no clear difference"}

_EXPLAINED = (
    "p is from McNemar's test (mid-p) on the same images, corrected by Holm's method because several pairs are tested. "
    "A difference is called real where p is below 0.05. Intervals of two models may overlap although their difference "
    "is real: both were tested on the same images."
)


@dataclass(frozen=True, kw_only=True)
class OneSet:
    """Models that were compared on one set of images.

    Parameters
    ----------
    comparisons : Comparisons
        Their ranks and differences.
    reports : mapping of str to Report
        The report of each, by the name that it has there.
    """

    comparisons: Comparisons
    reports: Mapping[str, Report]


def render(sets: Sequence[OneSet]) -> str:
    """Make the HTML; a policy inside it forbids any connection and any script."""
    css = files("featx.reports.page").joinpath("page.css").read_text(encoding="utf-8")
    best = "; ".join(
        f"best of {len(one.comparisons.models)} on {_scored_on(one)}: {one.comparisons.models[0].model}" for one in sets
    )
    parts = "\n".join(_section(number, one) for number, one in enumerate(sets))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; "
        "form-action 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Comparison · featx</title>\n<style>{css}{_STYLE}</style>\n</head>\n<body>\n"
        f'<header class="page-head"><h1>Comparison</h1><p class="lead">{sentence(best)}</p></header>\n'
        f"<main>\n{parts}\n</main>\n"
        f'<footer class="page-foot"><p>Made by featx {escaped(__version__)} on '
        f"{escaped(moment(datetime.now(UTC).isoformat()))}. "
        "This page is one file: it needs no network and sends nothing.</p></footer>\n</body>\n</html>\n"
    )


def _section(number: int, one: OneSet) -> str:
    found = one.comparisons
    seconds = any("seconds" in report.params for report in one.reports.values())
    pairs = dict(zip((model.model for model in found.models[1:]), found.with_best, strict=True))
    rows = "".join(_row(model, one.reports[model.model], pairs.get(model.model), seconds) for model in found.models)
    titles = ("Model", "Accuracy", f"{100 * LEVEL:g} % interval", _BAR, "Behind the best", "p", "Verdict")
    head = "".join(
        f'<th scope="col"{" class=bar" if title == _BAR else ""}>{title}</th>'
        for title in (*titles, *["Seconds"] * seconds)
    )
    notes = "".join(f'<li class="warn">{sentence(note)}</li>' for note in found.notes)
    return (
        f'<section aria-labelledby="set-{number}"><h2 id="set-{number}">Tested on {name(_scored_on(one))}</h2>\n'
        f'<div class="scroll" role="region" aria-label="Models on {escaped(_scored_on(one))}" tabindex="0">'
        f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>\n'
        f'<p class="quiet">{_EXPLAINED}</p>\n'
        + (f'<ul class="notes">{notes}</ul>\n' if notes else "")
        + (_every_pair(number, found) if len(found.models) > 2 else "")
        + "</section>"
    )


def _row(model: Ranked, report: Report, pair: Comparison | None, seconds: bool) -> str:
    place = (
        f"--at:{100 * model.accuracy:.2f};--low:{100 * model.interval.low:.2f};--high:{100 * model.interval.high:.2f}"
    )
    cells = [
        f'<th scope="row">{name(model.model)}<small>{_approach(report)}</small></th>',
        f"<td>{share(model.accuracy)}</td>",
        f"<td>{ends(model.interval)}</td>",
        f'<td class="bar"><div class="span" style="{place}" aria-hidden="true"></div></td>',
    ]
    if pair is None:
        cells += ["<td>best</td>", "<td></td>", "<td></td>"]
    else:
        cells += _difference(pair)
    if seconds:
        took = report.params.get("seconds")
        cells.append(f"<td>{f'{took:,.0f}' if isinstance(took, int | float) else 'not recorded'}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _difference(pair: Comparison) -> list[str]:
    difference = pair.by_metric["accuracy"]
    p = "&lt; 0.001" if pair.adjusted_p_value < 0.001 else f"{pair.adjusted_p_value:.3f}"
    return [
        f"<td>{_points(difference.value)}<small>{_between(difference.interval)}</small></td>",
        f"<td>{p}</td>",
        f"<td>{VERDICTS[pair.real]}</td>",
    ]


def _every_pair(number: int, found: Comparisons) -> str:
    rows = "".join(
        f'<tr><th scope="row">{name(pair.a)}</th><td>{name(pair.b)}</td><td>{pair.only_a:,}</td>'
        f"<td>{pair.only_b:,}</td>{''.join(_difference(pair))}</tr>"
        for pair in found.pairs
    )
    head = "".join(
        f'<th scope="col">{title}</th>'
        for title in ("Better", "Than", "Only the first is right", "Only the second", "By", "p", "Verdict")
    )
    return (
        f'<details><summary>Every pair of models</summary><div class="scroll" role="region" '
        f'aria-label="Every pair of models, set {number + 1}" tabindex="0"><table class="list"><thead><tr>{head}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div></details>"
    )


def _approach(report: Report) -> str:
    """Say how a model works; a network of one's own has no backbone."""
    if not report.backbone:
        return f"{escaped(report.clf)}, trained from scratch on the pixels"
    return f"{escaped(report.clf)} on features of {escaped(report.backbone)}"


def _scored_on(one: OneSet) -> str:
    """Name the images without the folders above them: a page is made to be shared."""
    text = one.comparisons.scored_on
    text = text.rpartition("/")[2] if text.startswith("/") else text
    images = count(one.comparisons.n, "image")
    return text if images in text else f"{text}, {images}"


def _points(value: float) -> str:
    text = f"{100 * value:.1f}"
    return f"{'0.0' if text == '-0.0' else text} points"


def _between(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
