"""The results page: tables of what was measured, and how it stands to the project's targets."""

import dataclasses
import re
import statistics
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

from records import (
    Findings,
    Runs,
    Spread,
    allowed,
    beyond,
    cpu_per_image,
    cpu_share,
    digits_of,
    faster,
    memory,
    share,
    shorter,
)

SECTIONS = ("loop", "start", "memory", "many", "unchanged")

WHAT = {
    "featx f32": "featx: files to sealed store, float32",
    "featx bf16": "featx: the same, bfloat16",
    "decoder alone": "featx's decoder without a backbone",
    "backbone alone f32": "the backbone without a decoder, float32",
    "backbone alone bf16": "the same, bfloat16",
    "tf.data": "(a) tf.data and `model.predict`, batch 32, as Keras's guides write it",
    "one at a time": "(b) one image at a time through `model.predict`, as tutorials write it",
    "timm f32": "(c) timm with a DataLoader, channels last, float32",
    "timm bf16": "(c) the same, bfloat16",
}

HOW = """\
Every run is a fresh process with all the cores named above, and the contenders take turns. A figure is the median over
the turns, with the least and the most in brackets. A ratio is computed within each turn; the median is that of these
ratios.

For all contenders, the clock of a loop starts when the first batch is done (one at a time: the first image), and the
images after it are counted. featx's clock stops when the store is sealed, the clock of the others when the features are
in memory. "Whole" is the whole process, from before its start to after its end. featx's cache is warm (its backbone was
exported before), and the files are in the page cache.

(a), (b) and featx have the same weights. timm's networks are untrained, which makes no difference to their speed.
`tf.io.decode_jpeg` is less accurate than the decoders of the others, and therefore faster. Memory is the largest sum of
the proportional set sizes of all processes of a run, measured ten or more times a second. "Others" is the share of the
machine's CPU time that other programs took meanwhile. Where it is high, trust the ratios and the CPU time, not the
images/s."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """What the project wants: at least `least`, or at most `most`; `bound` are the rows that say what is possible."""

    what: str
    section: str
    backbone: str
    rows: tuple[str, ...]
    figure: Callable[..., float]
    least: float | None = None
    most: float | None = None
    bound: tuple[str, ...] = ()

    def line(self, runs: Runs) -> list[str] | None:
        """Cells of its row; None where it was not measured."""
        found = runs.ratios(self.section, self.backbone, self.rows, self.figure)
        if found is None:
            return None
        reached = found.median >= self.least if self.least is not None else found.median <= (self.most or 0)
        wanted = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        bound = runs.ratios(self.section, self.backbone, self.bound, allowed) if self.bound else None
        return [self.what, found.text(), wanted, "yes" if reached else "**no**", "" if bound is None else bound.text()]


def _loop(backbone: str, name: str, ours: str, theirs: str, least: float) -> Target:
    what = f"{name} {ours.removeprefix('featx ')} against {WHAT[theirs][:3]} {theirs}, loop, times faster"
    bound = ("decoder alone", ours.replace("featx", "backbone alone"), theirs)
    return Target(
        what=what, section="loop", backbone=backbone, rows=(ours, theirs), figure=faster, least=least, bound=bound
    )


_NAMES = {"mobilenetv2": "MobileNetV2", "resnet50": "ResNet50"}
TARGETS = [
    _loop("mobilenetv2", "MobileNetV2", "featx f32", "tf.data", 2.7),
    _loop("mobilenetv2", "MobileNetV2", "featx bf16", "tf.data", 5.5),
    _loop("mobilenetv2", "MobileNetV2", "featx bf16", "timm bf16", 3.8),
    _loop("mobilenetv2", "MobileNetV2", "featx bf16", "one at a time", 25),
    _loop("resnet50", "ResNet50", "featx f32", "tf.data", 1.5),
    _loop("resnet50", "ResNet50", "featx bf16", "tf.data", 3.9),
    *(
        Target(
            what=f"100 images, whole process, {kind}, against (a) tf.data, times faster",
            section="start",
            backbone="mobilenetv2",
            rows=(f"featx {kind}", "tf.data"),
            figure=shorter,
            least=8,
        )
        for kind in ("f32", "bf16")
    ),
    *(
        Target(
            what=f"{name} {kind}: loop as a share of 1 / (1 / decoder + 1 / backbone)",
            section="loop",
            backbone=backbone,
            rows=(f"featx {kind}", "decoder alone", f"backbone alone {kind}"),
            figure=share,
            least=0.85,
        )
        for backbone, name in _NAMES.items()
        for kind in ("f32", "bf16")
    ),
    Target(
        what="unchanged folder of 10,000 images, seconds beyond the interpreter's start",
        section="unchanged",
        backbone="mobilenetv2",
        rows=("featx extract", "interpreter alone"),
        figure=beyond,
        most=2,
    ),
    *(
        Target(
            what=f"memory of all processes, MobileNetV2 {kind}, {count} images, MB",
            section=section,
            backbone="mobilenetv2",
            rows=(f"featx {kind}",),
            figure=memory,
            most=most,
        )
        for section, count in (("memory", "1,000"), ("many", "many"))
        for kind, most in (("f32", 850), ("bf16", 700))
    ),
]


def page(findings: Findings, machine: list[str]) -> str:
    """The results as Markdown."""
    runs = Runs(findings.records)
    parts = [
        "# How fast featx extracts features",
        "Made by `python benchmarks/throughput.py`; run it on your own machine (`make bench`).",
        "\n".join(f"- {line}" for line in [*machine, *findings.images, _weights(findings.weights)]),
        HOW,
        *_loops(runs),
        *_starts(runs),
        *_memories(runs),
        *_unchanged(runs),
    ]
    if reached := [line for target in TARGETS if (line := target.line(runs)) is not None]:
        heads = ["what", "found", "wanted", "reached", "decoder and backbone alone allow here"]
        parts += ["## Against the project's targets", _table(heads, reached)]
    if findings.skipped:
        reasons = {name: re.sub(r"/[\w.@/-]{2,}", "…", reason) for name, reason in findings.skipped.items()}
        parts += ["## Left out", "\n".join(f"- {name}: {reason}" for name, reason in reasons.items())]
    return "\n\n".join(parts) + "\n"


def speeds(findings: Findings, *, processor: str, cores: int) -> dict[str, Any]:
    """Table of the images/s of featx in float32, as the package has it: medians over the turns, by backbone."""
    runs = Runs(findings.records)
    columns = {"files_to_store": "featx f32", "backbone_alone": "backbone alone f32"}
    names = runs.backbones("loop")
    return {
        "made_by": "python benchmarks/throughput.py --speeds",
        "featx_version": version("featx"),
        "date": time.strftime("%Y-%m-%d"),
        "cores": cores,
        "processor": processor,
        "images": max(one.images for one in runs.of("loop", names[0], "featx f32").values()),
        "what": findings.images[-1],
        "precision": "float32",
        "repeats": len(runs.of("loop", names[0], "featx f32")),
        "others": round(statistics.median(one.others for one in runs.records if one.section == "loop"), 2),
        "weights": {name: findings.weights[name] for name in names},
        "images_per_second": {
            name: {
                column: float(f"{statistics.median(one.rate or 0 for one in runs.of('loop', name, row).values()):.3g}")
                for column, row in columns.items()
            }
            for name in names
        },
    }


def _weights(weights: dict[str, str]) -> str:
    return "weights: " + ", ".join(f"{name} {kind}" for name, kind in weights.items())


def _loops(runs: Runs) -> list[str]:
    parts = []
    for backbone in runs.backbones("loop"):
        lines = []
        for row, what in WHAT.items():
            found = runs.of("loop", backbone, row).values()
            if not found:
                continue
            lines.append(
                [
                    what,
                    str(max(one.images for one in found)),
                    _text(one.rate for one in found),
                    _text(one.wall for one in found),
                    _text(map(cpu_per_image, found)),
                    _times(runs, backbone, "featx f32", row),
                    _times(runs, backbone, "featx bf16", row),
                    f"{statistics.median(one.others for one in found):.0%}",
                ]
            )
        heads = ["what", "images", "loop, images/s", "whole, s", "loop, CPU ms/image"]
        parts += [
            f"## {backbone}",
            _table([*heads, "featx f32 is faster by", "featx bf16 is faster by", "others"], lines),
            *_shares(runs, backbone),
        ]
    return parts


def _times(runs: Runs, backbone: str, ours: str, row: str) -> str:
    if row.startswith(("featx", "decoder", "backbone")):
        return ""
    found = runs.ratios("loop", backbone, (ours, row), faster)
    return "" if found is None else found.text()


def _shares(runs: Runs, backbone: str) -> list[str]:
    lines = []
    for kind in ("f32", "bf16"):
        rows = (f"featx {kind}", "decoder alone", f"backbone alone {kind}")
        if (found := runs.ratios("loop", backbone, rows, share)) is None:
            continue
        last = max(runs.of("loop", backbone, rows[0]).items())[1]
        stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in last.more.get("stages", {}).items())
        lines.append(
            f"- {kind}: the loop runs at {found.text()} of 1 / (1 / decoder + 1 / backbone), and decoder and backbone "
            f"alone take {_cpu(runs, backbone, rows)} of its CPU time. Seconds of the last run, read and decode summed "
            f"over the decoders: {stages}."
        )
    return ["\n".join(lines)] if lines else []


def _cpu(runs: Runs, backbone: str, rows: tuple[str, ...]) -> str:
    found = runs.ratios("loop", backbone, rows, cpu_share)
    return "" if found is None else found.text()


def _starts(runs: Runs) -> list[str]:
    parts = []
    for backbone in runs.backbones("start"):
        lines = []
        for row, what in WHAT.items():
            if found := list(runs.of("start", backbone, row).values()):
                ours = [runs.ratios("start", backbone, (f"featx {kind}", row), shorter) for kind in ("f32", "bf16")]
                cells = ["" if one is None or row.startswith("featx") else one.text() for one in ours]
                others = f"{statistics.median(one.others for one in found):.0%}"
                lines.append([what, _text(one.wall for one in found), *cells, others])
        heads = ["what", "s", "featx f32 is faster by", "featx bf16 is faster by", "others"]
        count = max(one.images for one in runs.records if one.section == "start")
        parts += [f"## The whole process, {count} images, {backbone}", _table(heads, lines)]
    return parts


def _memories(runs: Runs) -> list[str]:
    lines = [
        [WHAT[one.row], one.backbone, str(one.images), digits_of(one.memory, 3)]
        for one in runs.records
        if one.section in ("memory", "many") and one.memory
    ]
    return ["## Memory of all processes", _table(["what", "backbone", "images", "MB at most"], lines)] if lines else []


def _unchanged(runs: Runs) -> list[str]:
    lines = [
        [row, str(found[0].images), _text(one.wall for one in found)]
        for backbone in runs.backbones("unchanged")
        for row in ("featx extract", "interpreter alone")
        if (found := list(runs.of("unchanged", backbone, row).values()))
    ]
    return ["## `featx extract` where nothing has changed", _table(["what", "images", "s"], lines)] if lines else []


def _text(figures: Iterable[float | None]) -> str:
    found = Spread.of(figure for figure in figures if figure is not None)
    return "" if found is None else found.text()


def _table(heads: list[str], lines: list[list[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
