"""The section that says what made a report: enough to make it again."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from featx.reports.page import places
from featx.reports.page.text import escaped, moment, name
from featx.reports.report import Report


def made(report: Report) -> str:
    """The model, the command, the spec and the versions, as HTML."""
    parameters = ", ".join(f"{key} = {_short(value)}" for key, value in report.params.items() if value is not None)
    facts = (
        ("Model", name(report.model)),
        (f"Scored {places.preposition(report)}", name(places.scored_on(report))),
        ("Folder of the images", name(Path(report.root).name) if report.root else ""),
        ("Backbone", escaped(report.backbone) + (" (untrained)" if report.untrained else "")),
        ("Classifier", escaped(report.clf)),
        ("Settings of the classifier", escaped(parameters)),
        ("Time", escaped(moment(report.created))),
        ("Fingerprint of the features", f"<code>{escaped(report.fingerprint)}</code>" if report.fingerprint else ""),
    )
    command = (
        f"<h3>Command</h3>\n<pre><code>{escaped(places.command(report.command))}</code></pre>\n"
        if report.command
        else ""
    )
    spec = json.loads(report.spec)
    what = "features" if report.backbone else "pixels"
    return (
        f"{_facts((title, value) for title, value in facts if value)}\n{command}"
        f"<details><summary>Settings of the {what}</summary>{_facts(_plain(spec))}</details>\n"
        f"<details><summary>Versions of the software</summary>{_facts(_plain(dict(report.versions)))}</details>"
    )


def _plain(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(escaped(key), f"<code>{escaped(_short(value))}</code>") for key, value in values.items()]


def _short(value: Any) -> str:
    return str(value) if isinstance(value, str | float) else json.dumps(value)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return '<dl class="made">' + "".join(f"<dt>{title}</dt><dd>{value}</dd>" for title, value in facts) + "</dl>"
