"""The table of classes, the worst first."""

from featx.reports.page.text import count, ends, figure, name
from featx.reports.report import Report
from featx.statistics.metrics import ClassMetrics

MANY = 20
"""With more classes than this the table can be searched, and is folded."""

_HEADS = ("Class", "Images", "Recall", "Precision", "F1")
_SORTED_BY = "F1"


def classes(report: Report) -> str:
    """The figures of each class as HTML: the lowest F1 first, classes without images last."""
    row = "".join(
        f'<th scope="col"{_ASCENDING if head == _SORTED_BY else ""}>'
        f'<button type="button" class="sort">{head}</button></th>'
        for head in _HEADS
    )
    ordered = sorted(report.metrics.per_class, key=lambda one: (not one.support, one.f1))
    body = "".join(_class_row(one, one.name in report.unseen) for one in ordered)
    k = len(ordered)
    search = (
        '<div class="controls"><label>Find classes by name'
        '<input type="search" id="classes-filter" autocomplete="off" spellcheck="false"></label>'
        f'<p class="quiet" id="classes-said" aria-live="polite">{count(k, "class", "classes")}</p></div>\n'
        if k > MANY
        else ""
    )
    every = f'<button type="button" class="plain" id="classes-all" hidden>Show all {k:,} classes</button>\n'
    return (
        '<p class="quiet">Recall: of the images of this class, the share that is found. Precision: of the images '
        "predicted as this class, the share that really are. F1: recall and precision in one number; 0 is the worst, "
        f"1 the best. The worst class comes first. Click a column title to sort.</p>\n{search}"
        f'<div class="scroll{" tall" if k > MANY else ""}" role="region" aria-label="The figures of each class" '
        'tabindex="0"><table class="list" id="classes-table">'
        f"<thead><tr>{row}</tr></thead><tbody>{body}</tbody></table></div>{every if k > MANY else ''}"
    )


_ASCENDING = ' aria-sort="ascending"'


def _class_row(one: ClassMetrics, unseen: bool) -> str:
    never = " <small>never seen in training</small>" if unseen else ""
    figures = "".join(
        f'<td data-value="{value:.6f}">{figure(value, unit)}{_around(one, key, unit)}</td>'
        for key, value, unit in (("recall", one.recall, "%"), ("precision", one.precision, "%"), ("f1", one.f1, ""))
    )
    return (
        f'<tr><th scope="row">{name(one.name)}{never}</th>'
        f'<td data-value="{one.support}">{one.support:,}</td>{figures}</tr>'
    )


def _around(one: ClassMetrics, key: str, unit: str) -> str:
    interval = one.intervals.get(key)
    return "" if interval is None else f"<small>{ends(interval, unit=unit)}</small>"
