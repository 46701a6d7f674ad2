"""The page's sections, in their order; what needs no script is whole here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featx.errors import is_of_another_kind
from featx.reports.page import places
from featx.reports.page.classes import classes
from featx.reports.page.content import LISTED
from featx.reports.page.diagram import reliability
from featx.reports.page.made import made
from featx.reports.page.text import count, ends, escaped, figure, name, sentence, share
from featx.reports.report import Report
from featx.statistics import table
from featx.statistics.intervals import Interval
from featx.statistics.metrics import Metrics
from featx.statistics.table import Metric

SHOWN_CLASSES = 20
"""With more classes than this the matrix shows those most often confused, until it is asked for others."""

_SIZES = (10, 20, 40, 80)

NAMED_FAILURES = 500
"""So many unreadable images are named at most."""


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
        ("figures", "Accuracy", _figures),
        ("notes", "Read this first", _notes),
        ("confusion", "Which classes are confused", _confusion),
        ("others", "Other figures", _others),
        ("classes", "Class by class", lambda report, _: classes(report)),
        ("suspects", "Labels to check", _suspects),
        ("mistakes", "Mistakes" if _unsure(report) else "The most confident mistakes", _mistakes),
        ("reliability", "Can the confidence be trusted?", _reliability),
        ("map", "Map of the images", _map),
        ("leaks", "Images that occur twice", _leaks),
        ("made", "How this was made", lambda report, _: made(report)),
    )
    found = [Section(anchor=anchor, title=title, body=body(report, data)) for anchor, title, body in made_of]
    return [one for one in found if one.body]


def head(report: Report, parts: list[Section]) -> str:
    """The page's heading and its navigation."""
    links = "".join(f'<li><a href="#{one.anchor}">{one.title}</a></li>' for one in parts)
    return (
        f"<h1>{name(report.model)}</h1>\n"
        f'<p class="lead">{_what(report)}, scored '
        f"{places.preposition(report)} {name(places.scored_on(report))}</p>\n"
        f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav>'
    )


def _what(report: Report) -> str:
    """Name the classifier with what it works on; a network of one's own has no backbone, and works on pixels."""
    on = f"features of {escaped(report.backbone)}" if report.backbone else "the pixels, trained from scratch"
    return f"{escaped(report.clf)} on {on}"


def _figures(report: Report, _: Mapping[str, Any]) -> str:
    metrics = report.counted
    interval = metrics.intervals["accuracy"]
    right = int(metrics.confusion.diagonal().sum())
    level = f"{100 * interval.level:g} %"
    place = f"--at:{100 * metrics.accuracy:.2f};--low:{100 * interval.low:.2f};--high:{100 * interval.high:.2f}"
    # Both ends of a narrow interval would be the same number.
    digits = 0 if interval.high - interval.low > 0.02 else 1
    leaked = report.metrics.n - metrics.n
    with_them = f"; {share(report.metrics.accuracy)} including the {count(leaked, 'image')} that it was fitted on"
    return (
        f'<p class="headline"><strong>{share(metrics.accuracy)}</strong> '
        f"<span>accuracy, {level} interval {ends(interval)}{with_them if leaked else ''}</span></p>\n"
        f'<div class="span" style="{place}" aria-hidden="true"></div>\n'
        '<p class="ends" aria-hidden="true"><span>0 %</span><span>100 %</span></p>\n'
        f"<p>{right:,} of {count(metrics.n, 'image')} {'is' if 1 in (right, metrics.n) else 'are'} classified right. "
        f"On new images of the same kind the accuracy is likely between {100 * interval.low:.{digits}f} and "
        f"{100 * interval.high:.{digits}f} %. This assumes that the images are unrelated: ten photos of one object "
        f"tell less than photos of ten objects.</p>\n<p>{sentence(report.baseline)}"
        f"{'' if report.doubt is None else f' <strong>{sentence(report.doubt)}</strong>'}</p>"
    )


def _others(report: Report, _: Mapping[str, Any]) -> str:
    # The accuracy is the headline of the page.
    cards = "".join(_card(metric, report.counted) for metric in table.METRICS if metric.name != "accuracy")
    return f'<dl class="figures">{cards}</dl>'


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
        f'<div><dt>{metric.title}</dt><dd class="value">{figure(value, metric.unit)}</dd>{around}'
        f'<dd class="quiet">{metric.explanation}</dd></div>'
    )


def _level(interval: Interval) -> str:
    return f"{100 * interval.level:g} %"


def _notes(report: Report, _: Mapping[str, Any]) -> str:
    notes = list(report.notes)
    if report.untrained and not any("untrained" in note for note in notes):
        notes.insert(0, "the backbone is untrained: with trained weights, the figures would be different")
    found = [f'<li class="warn">{sentence(note)}</li>' for note in notes]
    found += [f"<li>{sentence(remark)}</li>" for remark in report.remarks]
    others = [failure for failure in report.failures if is_of_another_kind(*failure)]
    images = [failure for failure in report.failures if failure not in others]
    if images:
        verb = "is" if len(images) == 1 else "are"
        found.append(_without_row(report, images, f"couldn't be read and {verb} not in the figures", "image"))
    if others:
        verb = "is not an image and was" if len(others) == 1 else "are not images and were"
        found.append(_without_row(report, others, f"{verb} left out", "file"))
    return f'<ul class="notes">{"".join(found)}</ul>' if found else ""


def _without_row(report: Report, failures: Sequence[tuple[str, str]], what: str, noun: str) -> str:
    """Count files that have no row, and name the first."""
    n = len(failures)
    items = [
        f"<li>{name(places.image(report, path))}: {escaped(reason)}</li>" for path, reason in failures[:NAMED_FAILURES]
    ]
    if n > NAMED_FAILURES:
        more = f"{n - NAMED_FAILURES:,} more, which the file {escaped(report_name(report))}.json names"
        items.append(f"<li>and {more}</li>")
    return (
        f"<li>{count(n, noun)} {what}.<details><summary>{'Its name' if n == 1 else 'Their names'}</summary>"
        f"<ul>{''.join(items)}</ul></details></li>"
    )


def _confusion(report: Report, _: Mapping[str, Any]) -> str:
    k = len(report.metrics.classes)
    behind = "" if report.images is None else " Click a cell to see its images."
    caption = f"Each row is a true class, each column a predicted class.{behind}"
    return (
        f'<p class="quiet" id="matrix-caption">{caption}</p>\n'
        f"{_controls(k) if k > SHOWN_CLASSES else ''}"
        '<p class="quiet" id="matrix-wide" hidden>The matrix is wider than the window: move it sideways to see the '
        "rest.</p>\n"
        '<div class="scroll" id="matrix-scroll" role="region" aria-label="The confusion matrix" tabindex="0">'
        '<table class="matrix" id="matrix" aria-labelledby="confusion-title" aria-describedby="matrix-caption">'
        "</table></div>\n"
        '<p class="key"><span><i class="right-1"></i><i class="right-3"></i><i class="right-5"></i>right</span>'
        '<span><i class="wrong-1"></i><i class="wrong-3"></i><i class="wrong-5"></i>wrong</span>'
        "<span>the stronger the colour, the larger the share of the images of this true class</span></p>\n"
        + (
            '<h3>Most frequent confusions</h3>\n<ul class="confusions" id="confusions"></ul>\n'
            if report.metrics.accuracy < 1
            else '<p>Every image is classified right.</p><ul id="confusions" hidden></ul>\n'
        )
        + _list(report)
        + "<noscript><p>The matrix, the images and the map need JavaScript. This browser doesn't run it.</p></noscript>"
    )


def _list(report: Report) -> str:
    """A button that saves the list of images; the script makes the file from what the page holds."""
    if report.images is None:
        return ""
    file = escaped(report_name(report))
    n = len(report.images)
    some = "" if n <= LISTED else f" It has the first {LISTED:,} of {n:,} images; the file {file}.csv has all."
    return (
        f'<p class="save"><button type="button" class="plain" id="save" data-file="{file}" hidden>'
        'Save the list of images</button> <span class="quiet">A CSV file: path, label, prediction and confidence of '
        f"each image, the most confident mistakes first.{some}</span></p>\n"
    )


def report_name(report: Report) -> str:
    """Name of the report's files, without a suffix."""
    if report.file is not None:
        return report.file.stem
    return f"{report.model}-on-{report.test_set}" if report.test_set else report.model


def _controls(k: int) -> str:
    sizes = sorted({size for size in _SIZES if size < k} | ({k} if k <= _SIZES[-1] else set()))
    options = "".join(
        f'<option value="{size}"{" selected" if size == SHOWN_CLASSES else ""}>{size}</option>' for size in sizes
    )
    return (
        '<div class="controls"><label>Find classes by name'
        '<input type="search" id="matrix-filter" autocomplete="off" spellcheck="false"></label>'
        f'<label>Classes shown<select id="matrix-size">{options}</select></label></div>\n'
        '<p class="quiet" id="matrix-said" aria-live="polite"></p>\n'
    )


def _reliability(report: Report, _: Mapping[str, Any]) -> str:
    return "" if report.reliability is None else reliability(report.reliability)


def _unsure(report: Report) -> bool:
    return report.images is None or report.images.confidence is None


def _mistakes(report: Report, data: Mapping[str, Any]) -> str:
    if not data["mistakes"]:
        return ""
    wrong = report.metrics.n - int(report.metrics.confusion.diagonal().sum())
    shown = len(data["mistakes"])
    if shown + data["checked"] == wrong:
        some = count(wrong, "mistake") + ("" if _unsure(report) or wrong == 1 else ", the most confident first")
    else:
        which = "first" if _unsure(report) else "most confident"
        some = f"{count(wrong, 'mistake')}; the {shown:,} {which} are shown"
    above = " Mistakes that are shown under “Labels to check” are not shown again." if data["checked"] else ""
    return f'<p class="quiet">{some}.{above}</p>\n{_gallery("mistakes")}'


def _suspects(report: Report, data: Mapping[str, Any]) -> str:
    if not data["suspects"]:
        return ""
    found = len(report.label_errors)
    shown = len(data["suspects"])
    some = f"; the {shown} most confident are shown, and the file {escaped(report_name(report))}.json names all"
    return (
        f'<p class="quiet">The model disagrees strongly with the {"label" if found == 1 else "labels"} of '
        f"{count(found, 'image')}{some if shown < found else ''}. Look at each: the label may be wrong, or the "
        f"model.</p>\n{_gallery('suspects')}"
    )


def _gallery(which: str) -> str:
    return f'<ul class="gallery" data-gallery="{which}"></ul>{_MORE}'


_MORE = '<button type="button" class="plain" hidden>Show more</button>'


def _map(report: Report, data: Mapping[str, Any]) -> str:
    found = data["map"]
    if found is None or not found["row"]:
        return ""
    n = report.metrics.n
    drawn = len(found["row"])
    some = f"A sample of {drawn:,} of {n:,} images" if drawn < n else count(drawn, "image")
    return (
        f'<p class="quiet">{some}. Images whose dots are close together look alike to the network; the distance '
        f"between groups means little ({escaped(found['method'])}). A large dot with a ring is a mistake. Hover over "
        "or tap a dot, or use the arrow keys, to see its image.</p>\n"
        f"{_highlight(report) if len(report.metrics.classes) > _COLOURS else ''}"
        '<div class="map"><div class="plot" id="plot" tabindex="0" role="application" '
        'aria-label="Map of the features; the arrow keys go from image to image"><p class="quiet">Drawing…</p></div>'
        '<div class="map-image" id="map-image" aria-live="polite">'
        '<p class="quiet">Hover over or tap a dot to see its image.</p></div></div>'
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
        '<div class="controls"><label>Classes in colour<select id="map-class">'
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
            f"Test images that are in training too, or have a copy there: {tested:,}. The model has already seen these."
        )
    if twice:
        words.append(f"Training images that have a copy in another class: {twice:,}.")
    shown = len(data["leaks"])
    if shown < len(report.leaks):
        words.append(f"The first {shown:,} pairs are shown; the file {escaped(report_name(report))}.json names all.")
    both = "" if report.without_leaks is None else _with_and_without(report.metrics, report.without_leaks)
    return f'<p>{" ".join(words)}</p>\n{both}<ul class="pairs" id="pairs"></ul>{_MORE}'


def _with_and_without(full: Metrics, without: Metrics) -> str:
    rows = "".join(
        f'<tr><th scope="row">{metric.title}</th>{_figure(full, metric)}{_figure(without, metric)}</tr>'
        for metric in table.METRICS
        if full.by_metric.get(metric.name) is not None
    )
    return (
        "<h3>Figures with and without these images</h3>\n"
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
    return f"<td>{figure(value, metric.unit)}{around}</td>"
