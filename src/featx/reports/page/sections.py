"""The page's sections, in their order; what needs no script is whole here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from featx.reports.page import places
from featx.reports.page.diagram import reliability
from featx.reports.page.made import made
from featx.reports.page.text import count, ends, escaped, name, share
from featx.reports.report import Report
from featx.statistics import table
from featx.statistics.intervals import Interval
from featx.statistics.metrics import ClassMetrics, Metrics
from featx.statistics.table import Metric

SHOWN_CLASSES = 20
"""With more classes than this the matrix shows those most often confused, until it is asked for others."""

_SIZES = (10, 20, 40, 80)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Parameters
    ----------
    anchor : str
        Its id, and where the navigation leads.
    title : str
        Its heading.
    body : str
        HTML below the heading; a section without any is left out.
    """

    anchor: str
    title: str
    body: str

    @property
    def html(self) -> str:
        """The section as HTML."""
        return (
            f'<section id="{self.anchor}" aria-labelledby="{self.anchor}-title">\n'
            f'<h2 id="{self.anchor}-title">{self.title}</h2>\n{self.body}\n</section>'
        )


def sections(report: Report, data: Mapping[str, Any]) -> list[Section]:
    """All sections that the report has something for."""
    made_of: tuple[tuple[str, str, Callable[[Report, Mapping[str, Any]], str]], ...] = (
        ("figures", "Figures", _figures),
        ("notes", "Read this first", _notes),
        ("confusion", "Which classes are confused", _confusion),
        ("classes", "Class by class", _classes),
        ("reliability", "What a confidence is worth", _reliability),
        ("mistakes", "Mistakes" if _unsure(report) else "The most confident mistakes", _mistakes),
        ("suspects", "Likely label errors", _suspects),
        ("map", "Map of the features", _map),
        ("leaks", "Leaked images", _leaks),
        ("made", "What made this", lambda report, _: made(report)),
    )
    found = [Section(anchor=anchor, title=title, body=body(report, data)) for anchor, title, body in made_of]
    return [one for one in found if one.body]


def head(report: Report, parts: list[Section]) -> str:
    """The page's heading and its navigation."""
    links = "".join(f'<li><a href="#{one.anchor}">{one.title}</a></li>' for one in parts)
    return (
        f"<h1>{name(report.model)}</h1>\n"
        f'<p class="lead">{escaped(report.clf)} on features of {escaped(report.backbone)}, '
        f"scored on {name(places.scored_on(report))}</p>\n"
        f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav>'
    )


def _figures(report: Report, _: Mapping[str, Any]) -> str:
    metrics = report.counted
    interval = metrics.intervals["accuracy"]
    right = int(metrics.confusion.diagonal().sum())
    level = f"{100 * interval.level:g} %"
    place = f"--at:{100 * metrics.accuracy:.2f};--low:{100 * interval.low:.2f};--high:{100 * interval.high:.2f}"
    leaked = report.metrics.n - metrics.n
    # The accuracy is the headline above the others.
    cards = "".join(_card(metric, metrics) for metric in table.METRICS if metric.name != "accuracy")
    with_them = f"; {share(report.metrics.accuracy)} with {count(leaked, 'image')} that it was fitted on"
    return (
        f'<p class="headline"><strong>{share(metrics.accuracy)}</strong> '
        f"<span>accuracy, {level} interval {ends(interval)}{with_them if leaked else ''}</span></p>\n"
        f'<div class="span" style="{place}" aria-hidden="true"></div>\n'
        '<p class="ends" aria-hidden="true"><span>0 %</span><span>100 %</span></p>\n'
        f"<p>{right:,} of {count(metrics.n, 'image')} {'is' if metrics.n == 1 else 'are'} classified right. On other "
        f"images of the same kind the accuracy is likely between {100 * interval.low:.0f} and "
        f"{100 * interval.high:.0f} %, if the images are unrelated: photos of one object, taken one after the other, "
        f"tell less than their number.</p>\n<p>{_sentence(report.baseline)}"
        f"{'' if report.doubt is None else f' <strong>{_sentence(report.doubt)}</strong>'}</p>\n"
        f'<dl class="figures">{cards}</dl>'
    )


def _card(metric: Metric, metrics: Metrics) -> str:
    value, interval = metrics.by_metric.get(metric.name), metrics.intervals.get(metric.name)
    if value is None:
        return ""
    around = (
        ""
        if interval is None
        else f'<dd class="quiet">{_level(interval)} interval {ends(interval, unit=metric.unit)}</dd>'
    )
    return (
        f'<div><dt>{metric.title}</dt><dd class="value">{_value(value, metric.unit)}</dd>{around}'
        f'<dd class="quiet">{metric.explanation}</dd></div>'
    )


def _level(interval: Interval) -> str:
    return f"{100 * interval.level:g} %"


def _value(value: float, unit: str) -> str:
    return share(value) if unit == "%" else f"{value:.3f}"


def _notes(report: Report, _: Mapping[str, Any]) -> str:
    notes = list(report.notes)
    if report.untrained and not any("untrained" in note for note in notes):
        notes.insert(0, "the backbone is untrained: these figures say nothing about it with its trained weights")
    found = [f'<li class="warn">{_sentence(note)}</li>' for note in notes]
    found += [f"<li>{_sentence(remark)}</li>" for remark in report.remarks]
    if report.failures:
        items = "".join(
            f"<li>{name(places.image(report, path))}: {escaped(reason)}</li>" for path, reason in report.failures
        )
        found.append(
            f"<li>Couldn't be read, and not in the figures: {count(len(report.failures), 'image')}."
            f"<details><summary>Their names</summary><ul>{items}</ul></details></li>"
        )
    return f'<ul class="notes">{"".join(found)}</ul>' if found else ""


def _sentence(note: str) -> str:
    text = escaped(note)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _confusion(report: Report, _: Mapping[str, Any]) -> str:
    k = len(report.metrics.classes)
    behind = "" if report.images is None else " A cell opens the images behind it."
    caption = f"Images by true class (rows) and predicted class (columns).{behind}"
    return (
        f'<p class="quiet" id="matrix-caption">{caption}</p>\n'
        f"{_controls(k) if k > SHOWN_CLASSES else ''}"
        '<div class="scroll" role="region" aria-label="The confusion matrix" tabindex="0">'
        '<table class="matrix" id="matrix" aria-labelledby="confusion-title" aria-describedby="matrix-caption">'
        "</table></div>\n"
        '<p class="key"><span><i class="right-1"></i><i class="right-3"></i><i class="right-5"></i>right</span>'
        '<span><i class="wrong-1"></i><i class="wrong-3"></i><i class="wrong-5"></i>wrong</span>'
        "<span>the stronger the colour, the larger the share of the true class</span></p>\n"
        + (
            '<h3>Most frequent confusions</h3>\n<ul class="confusions" id="confusions"></ul>\n'
            if report.metrics.accuracy < 1
            else '<p>Every image is classified right.</p><ul id="confusions" hidden></ul>\n'
        )
        + "<noscript><p>The matrix, the images and the map need JavaScript; it is all in this file.</p></noscript>"
    )


def _controls(k: int) -> str:
    sizes = sorted({size for size in _SIZES if size < k} | ({k} if k <= _SIZES[-1] else set()))
    options = "".join(
        f'<option value="{size}"{" selected" if size == SHOWN_CLASSES else ""}>{size}</option>' for size in sizes
    )
    return (
        '<div class="controls"><label>Classes with this in their name'
        '<input type="search" id="matrix-filter" autocomplete="off" spellcheck="false"></label>'
        f'<label>Classes shown<select id="matrix-size">{options}</select></label></div>\n'
        '<p class="quiet" id="matrix-said" aria-live="polite"></p>\n'
    )


def _classes(report: Report, _: Mapping[str, Any]) -> str:
    heads = ("Class", "Images", "Recall", "Precision", "F1")
    row = "".join(f'<th scope="col"><button type="button" class="sort">{head}</button></th>' for head in heads)
    body = "".join(_class_row(one, one.name in report.unseen) for one in report.metrics.per_class)
    k = len(report.metrics.per_class)
    search = (
        '<div class="controls"><label>Classes with this in their name'
        '<input type="search" id="classes-filter" autocomplete="off" spellcheck="false"></label>'
        f'<p class="quiet" id="classes-said" aria-live="polite">{count(k, "class", "classes")}</p></div>\n'
        if k > SHOWN_CLASSES
        else ""
    )
    tall = " tall" if k > SHOWN_CLASSES else ""
    return (
        f"{search}"
        f'<div class="scroll{tall}" role="region" aria-label="The figures of each class" tabindex="0">'
        '<table class="list" id="classes-table"><caption>Recall: the share of a class that is found. Precision: '
        "the share of what is called so that is so. The heads sort.</caption>"
        f"<thead><tr>{row}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _class_row(one: ClassMetrics, unseen: bool) -> str:
    never = " <small>never seen in training</small>" if unseen else ""
    figures = "".join(
        f'<td data-value="{value:.6f}">{_value(value, unit)}{_around(one, key, unit)}</td>'
        for key, value, unit in (("recall", one.recall, "%"), ("precision", one.precision, "%"), ("f1", one.f1, ""))
    )
    return (
        f'<tr><th scope="row">{name(one.name)}{never}</th>'
        f'<td data-value="{one.support}">{one.support:,}</td>{figures}</tr>'
    )


def _around(one: ClassMetrics, key: str, unit: str) -> str:
    interval = one.intervals.get(key)
    return "" if interval is None else f"<small>{ends(interval, unit=unit)}</small>"


def _reliability(report: Report, _: Mapping[str, Any]) -> str:
    return "" if report.reliability is None else reliability(report.reliability)


def _unsure(report: Report) -> bool:
    return report.images is None or report.images.confidence is None


def _mistakes(report: Report, data: Mapping[str, Any]) -> str:
    if not data["mistakes"]:
        return ""
    wrong = report.metrics.n - int(report.metrics.confusion.diagonal().sum())
    order = "" if _unsure(report) else ", the surest first"
    shown = len(data["mistakes"])
    some = f"{shown} of {count(wrong, 'mistake')}" if shown < wrong else count(wrong, "mistake")
    return f'<p class="quiet">{some}{order}.</p>\n{_gallery("mistakes")}'


def _suspects(report: Report, data: Mapping[str, Any]) -> str:
    if not data["suspects"]:
        return ""
    found = len(report.label_errors)
    shown = len(data["suspects"])
    some = f"{shown} of {count(found, 'image')}" if shown < found else count(found, "image")
    return (
        f'<p class="quiet">{some} whose label the model contradicts with more confidence than it usually has in '
        f"that class. Look at them: either may be wrong.</p>\n{_gallery('suspects')}"
    )


def _gallery(which: str) -> str:
    return f'<ul class="gallery" data-gallery="{which}"></ul><button type="button" hidden>Show more</button>'


def _map(report: Report, data: Mapping[str, Any]) -> str:
    found = data["map"]
    if found is None or not found["row"]:
        return ""
    n = report.metrics.n
    drawn = len(found["row"])
    some = f"A sample of {drawn:,} of {n:,} images" if drawn < n else count(drawn, "image")
    return (
        f'<p class="quiet">{some}, placed by {escaped(found["method"])}: neighbours look alike to the backbone; '
        "distances between groups mean little. Ringed, larger marks are mistakes. Point at a mark, tap it, or go from "
        "mark to mark with the arrow keys.</p>\n"
        f"{_highlight(report) if len(report.metrics.classes) > _COLOURS else ''}"
        '<div class="map"><div class="plot" id="plot" tabindex="0" role="application" '
        'aria-label="Map of the features; the arrow keys go from image to image"><p class="quiet">Drawing…</p></div>'
        '<div class="map-image" id="map-image" aria-live="polite">'
        '<p class="quiet">The image that is pointed at appears here.</p></div></div>'
    )


_COLOURS = 10
"""So many classes can be told apart on the map; of more, those with the most errors have a colour of their own."""


def _highlight(report: Report) -> str:
    classes = report.metrics.classes
    options = "".join(
        f'<option value="{index}">{escaped(classes[index])}</option>'
        for index in sorted(range(len(classes)), key=classes.__getitem__)
    )
    return (
        '<div class="controls"><label>Coloured<select id="map-class">'
        f'<option value="-1">the 8 classes with the most errors</option>{options}</select></label></div>\n'
    )


def _leaks(report: Report, data: Mapping[str, Any]) -> str:
    if not report.leaks:
        return ""
    tested = sum(leak.where == "train-test" for leak in report.leaks)
    twice = len(report.leaks) - tested
    words = []
    if tested:
        words.append(
            f"Of the scored images the model was fitted on {tested:,}, or on copies of them: what was learnt by heart "
            "is no test."
        )
    if twice:
        words.append(f"In training, {count(twice, 'image')} {'has' if twice == 1 else 'have'} a copy of another class.")
    shown = len(data["leaks"])
    if shown < len(report.leaks):
        words.append(f"The first {shown:,} pairs are shown.")
    both = "" if report.without_leaks is None else _with_and_without(report.metrics, report.without_leaks)
    return f'<p>{" ".join(words)}</p>\n{both}<ul class="pairs" id="pairs"></ul>'


def _with_and_without(full: Metrics, without: Metrics) -> str:
    rows = "".join(
        f'<tr><th scope="row">{metric.title}</th>{_figure(full, metric)}{_figure(without, metric)}</tr>'
        for metric in table.METRICS
        if full.by_metric.get(metric.name) is not None
    )
    return (
        "<h3>The figures without them</h3>\n"
        '<div class="scroll" role="region" aria-label="The figures without leaked images" tabindex="0">'
        '<table class="list"><thead><tr>'
        f'<th scope="col">Figure</th><th scope="col">All ({full.n:,})</th>'
        f'<th scope="col">Without ({without.n:,})</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _figure(metrics: Metrics, metric: Metric) -> str:
    value, interval = metrics.by_metric.get(metric.name), metrics.intervals.get(metric.name)
    if value is None:
        return "<td>none</td>"
    around = "" if interval is None else f"<small>{ends(interval, unit=metric.unit)}</small>"
    return f"<td>{_value(value, metric.unit)}{around}</td>"
