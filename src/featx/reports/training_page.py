"""The page of a training: loss and accuracy of every epoch, as curves and as a table, in one file without scripts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from featx.reports.page.text import escaped, moment, name, sentence, share
from featx.version import __version__

# Of a drawing, in its own units: the plane, and the room that the words beside it need.
_WIDTH, _HEIGHT = 400, 260
_LEFT, _TOP, _SIDE_X, _SIDE_Y = 56, 12, 330, 200

_STYLE = """
.curves { display: flex; flex-wrap: wrap; gap: 1.5rem; }
.curves figure { flex: 1 1 20rem; margin: 0; }
.curves path { fill: none; stroke-width: 2.5; }
.curves .validation { stroke: var(--accent); } .curves .training { stroke: var(--wrong-4); stroke-dasharray: 6 4; }
.curves .taken { stroke: var(--edge); stroke-width: 1.5; }
.key .validation { color: var(--accent); } .key .training { color: var(--wrong-4); }
"""


@dataclass(frozen=True, kw_only=True)
class TrainingPage:
    """The contents of the page.

    Parameters
    ----------
    name : str
        Name of the results.
    answer : str
        Sentence that says what came of it.
    epochs : sequence of mapping
        ``number``, ``rate``, ``loss``, ``accuracy``, ``validation_loss``, ``validation_accuracy`` of each epoch; the
        first is the start.
    taken : int
        Number of the epoch that was taken.
    facts : mapping of str to Any
        What else there is to know, by what it is called.
    notes : sequence of str
        What a reader should know, one sentence each.
    created : str
        Time, ISO 8601 in UTC.
    """

    name: str
    answer: str
    epochs: Sequence[Mapping[str, Any]]
    taken: int
    facts: Mapping[str, Any]
    notes: Sequence[str] = ()
    created: str = ""

    def render(self) -> str:
        """Make the HTML; a policy inside it forbids any connection and any script."""
        css = files("featx.reports.page").joinpath("page.css").read_text(encoding="utf-8")
        notes = "".join(f'<li class="warn">{sentence(note)}</li>' for note in self.notes)
        facts = "".join(
            f'<tr><th scope="row">{escaped(key)}</th><td>{escaped(value)}</td></tr>'
            for key, value in self.facts.items()
            if value is not None
        )
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; "
            "form-action 'none'; style-src 'unsafe-inline'\">\n"
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{escaped(self.name)} · featx</title>\n<style>{css}{_STYLE}</style>\n</head>\n<body>\n"
            f'<header class="page-head"><h1>{name(self.name)}</h1>'
            f'<p class="lead">{sentence(self.answer)}</p></header>\n'
            f"<main>\n<section><h2>Epoch by epoch</h2>\n"
            '<p class="key"><span class="training">- - training images, while they were learnt from</span> '
            '<span class="validation">— validation images, held out</span></p>\n'
            '<p class="quiet">The upright line is the epoch that was taken. Epoch 0 is the start.</p>\n'
            f'<div class="curves">{self._curve("accuracy")}{self._curve("loss")}</div>\n{self._table()}</section>\n'
            + (f'<section><h2>Read this</h2><ul class="notes">{notes}</ul></section>\n' if notes else "")
            + '<section><h2>How this was made</h2><div class="scroll"><table class="list">'
            f"<tbody>{facts}</tbody></table></div></section>\n</main>\n"
            f'<footer class="page-foot"><p>Made by featx {escaped(__version__)} on {escaped(moment(self.created))}. '
            "This page is one file: it needs no network and sends nothing.</p></footer>\n</body>\n</html>\n"
        )

    def _curve(self, figure: str) -> str:
        values = {
            kind: [float(one[key]) for one in self.epochs]
            for kind, key in (("training", figure), ("validation", f"validation_{figure}"))
        }
        every = [value for row in values.values() for value in row if math.isfinite(value)]
        low, high = (0.0, 1.0) if figure == "accuracy" else (0.0, max(every, default=1.0) or 1.0)
        if figure == "accuracy":
            low = math.floor(10 * min(every, default=0.0)) / 10
            low = min(low, 0.9)
        last = max(int(self.epochs[-1]["number"]), 1)

        def x(number: float) -> float:
            return _LEFT + _SIDE_X * number / last

        def y(value: float) -> float:
            return _TOP + _SIDE_Y * (high - value) / (high - low)

        lines = ""
        for kind, row in values.items():
            points = [
                f"{x(int(one['number'])):.1f} {y(value):.1f}"
                for one, value in zip(self.epochs, row, strict=True)
                if math.isfinite(value)
            ]
            lines += f'<path class="{kind}" d="M {" L ".join(points)}"/>' if points else ""
        ticks = [low + (high - low) * part / 4 for part in range(5)]
        across = "".join(
            f'<line class="grid" x1="{x(0)}" x2="{x(last)}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">'
            f"{f'{100 * tick:.0f} %' if figure == 'accuracy' else f'{tick:.2g}'}</text>"
            for tick in ticks
        )
        step = max(1, -(-last // 8))
        along = "".join(
            f'<text x="{x(number):.1f}" y="{_TOP + _SIDE_Y + 18}" text-anchor="middle">{number}</text>'
            for number in range(0, last + 1, step)
        )
        taken = (
            f'<line class="taken" x1="{x(self.taken):.1f}" x2="{x(self.taken):.1f}" y1="{_TOP}" y2="{_TOP + _SIDE_Y}"/>'
        )
        return (
            f'<figure><figcaption class="quiet">{figure.capitalize()}</figcaption>'
            f'<svg class="diagram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-label="{figure.capitalize()} of every epoch, as in the table below">{across}{along}{taken}{lines}'
            f'<text x="{x(last / 2):.0f}" y="{_HEIGHT - 6}" text-anchor="middle">epoch</text></svg></figure>'
        )

    def _table(self) -> str:
        rows = "".join(
            f'<tr><th scope="row">{one["number"]}{" (taken)" if one["number"] == self.taken else ""}</th>'
            f"<td>{share(one['accuracy'])}</td><td>{share(one['validation_accuracy'])}</td>"
            f"<td>{one['loss']:.3f}</td><td>{one['validation_loss']:.3f}</td></tr>"
            for one in self.epochs
        )
        return (
            "<details><summary>The epochs as a table</summary>"
            '<div class="scroll" role="region" aria-label="The epochs" tabindex="0"><table class="list"><thead><tr>'
            '<th scope="col">Epoch</th><th scope="col">Accuracy, training</th><th scope="col">Accuracy, validation</th>'
            '<th scope="col">Loss, training</th><th scope="col">Loss, validation</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div></details>"
        )
