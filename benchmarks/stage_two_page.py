"""The cases of the benchmark of stage two, its records, and the page that they make."""

import dataclasses
import json
import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any

from records import Spread


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What is chosen on what, and by whom.

    Parameters
    ----------
    what : str
        In words.
    clf, kernel, grid
        As in `fits.Task`.
    size, small : (n, d, k)
        Rows, columns and classes of made features; of a small run.
    photos : str
        A set of photos in the material, in place of made features.
    rows : tuple of str
        Contenders; the second is the reference.
    compared : bool
        Out-of-fold predictions are compared at the C that featx chose.
    faster : float
        Times that featx shall be faster.
    """

    what: str
    clf: str
    kernel: str = "linear"
    grid: Mapping[str, tuple[float, ...]]
    size: tuple[int, int, int] = (4_000, 2_048, 10)
    small: tuple[int, int, int] = (240, 64, 4)
    photos: str = ""
    rows: tuple[str, ...] = ("featx", "GridSearchCV")
    compared: bool = True
    faster: float | None = None


def _powers(lowest: int, highest: int) -> tuple[float, ...]:
    return tuple(float(f"1e{exponent}") for exponent in range(lowest, highest + 1))


SEVEN = {"C": _powers(-5, 1)}
TEN = {"C": tuple(float(f"{10**exponent:.3g}") for exponent in (-5 + i * 6 / 9 for i in range(10)))}
GAMMAS = {"C": _powers(-1, 3), "gamma": (0.25, 1.0, 4.0)}
PHOTOS = {"flowers": "flowers5_dev", "rubbish": "trashnet_dev", "digits": "sign_digits"}

CASES: dict[str, Case] = {
    "linear": Case(what="linear SVM, 7 C", clf="svm", grid=SEVEN, faster=10),
    "rbf": Case(what="rbf SVM, 5 C x 3 gamma", clf="svm", kernel="rbf", grid=GAMMAS, faster=5),
    "logreg": Case(
        what="logistic regression, 10 C",
        clf="logreg",
        grid=TEN,
        rows=("featx", "LogisticRegressionCV"),
        compared=False,
        faster=1,
    ),
    "large": Case(
        what="linear SVM, 7 C", clf="svm", grid=SEVEN, size=(50_000, 2_048, 10), rows=("featx",), compared=False
    ),
    "map": Case(
        what="logistic regression, one C, from the memory map",
        clf="logreg",
        grid={"C": (0.01,)},
        size=(100_000, 2_048, 10),
        rows=("featx",),
        compared=False,
    ),
    "many classes": Case(
        what="logistic regression, one C, from the memory map",
        clf="logreg",
        grid={"C": (0.01,)},
        size=(100_000, 2_048, 100),
        small=(600, 64, 20),
        rows=("featx",),
        compared=False,
    ),
    **{
        f"{name} {label}": Case(
            what=f"{what}, {name}",
            clf=clf,
            kernel=kernel,
            grid=grid,
            photos=photos,
            rows=("featx", reference),
            compared=clf == "svm",
        )
        for name, photos in PHOTOS.items()
        for label, what, clf, kernel, grid, reference in (
            ("linear", "linear SVM, 7 C", "svm", "linear", SEVEN, "GridSearchCV"),
            ("rbf", "rbf SVM, 5 C x 3 gamma", "svm", "rbf", GAMMAS, "GridSearchCV"),
            ("logreg", "logistic regression, 10 C", "logreg", "linear", TEN, "LogisticRegressionCV"),
        )
    },
}

HOW = """\
All contenders use the same five stratified folds. Every run is a fresh process with all the cores named above, and the
contenders take turns. The clock starts with the features (in memory; for featx, mapped from a file) and stops when the
chosen classifier is fitted on all rows. Imports are not counted. Seconds are the median over the turns, with the least
and the most in brackets. A ratio is computed within each turn.

The references are what users usually write: `GridSearchCV(make_pipeline(StandardScaler(), SVC(…)), …, n_jobs=cores)`,
and `make_pipeline(StandardScaler(), LogisticRegressionCV(…, n_jobs=cores))`, which scales before the folds are cut.
featx's time includes the calibration of its probabilities. Memory is the largest sum of the proportional set sizes of
all processes of a run (with pages of mapped files), measured ten or more times a second. Made features are rectified
mixtures of 256 factors; features of photos come from MobileNetV2. "Others" is the share of the machine's CPU time that
other programs took."""

CHOSEN = """\
Gamma is in multiples of scikit-learn's `scale`. "Behind" says how many points featx's choice is below the best value in
the reference's own table (at most 0.2 is wanted). Predictions are out of fold, at featx's choice. "Apart" is the widest
difference between the two tables in any fold, in points. It is 0 where both predict equally well at every point of the
grid."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a contender: `shape` is (n, d, k), `found` what it told."""

    case: str
    turn: int
    row: str
    shape: tuple[int, int, int]
    wall: float
    others: float
    memory: float
    found: dict[str, Any]

    @property
    def means(self) -> list[float]:
        """Mean accuracy at every point tried."""
        return [statistics.fmean(scores) for scores in self.found["table"]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """All that was measured, and what was left out, and why."""

    runs: list[Run]
    skipped: dict[str, str]

    def to_json(self) -> str:
        """Text that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Findings":
        """Read findings back from `to_json`."""
        fields = json.loads(text)
        runs = [Run(**one | {"shape": tuple(one["shape"])}) for one in fields["runs"]]
        return cls(runs=runs, skipped=fields["skipped"])

    def joined(self, later: "Findings") -> "Findings":
        """Both, with the turns of the later ones numbered on."""
        turns = 1 + max((one.turn for one in self.runs), default=-1)
        done = {f"{one.case}, {one.row}" for one in self.runs + later.runs}
        return Findings(
            runs=self.runs + [dataclasses.replace(one, turn=one.turn + turns) for one in later.runs],
            skipped={key: why for key, why in (self.skipped | later.skipped).items() if key not in done},
        )

    def of(self, case: str, row: str) -> dict[int, Run]:
        """Runs of a contender by turn."""
        return {one.turn: one for one in self.runs if (one.case, one.row) == (case, row)}

    def pairs(self, case: str) -> list[tuple[Run, Run]]:
        """featx and its reference in the same turns."""
        rows = CASES[case].rows
        if len(rows) < 2:
            return []
        ours, theirs = (self.of(case, row) for row in rows[:2])
        return [(ours[turn], theirs[turn]) for turn in sorted(ours.keys() & theirs.keys())]


def behind(ours: Run, theirs: Run) -> float:
    """Points by which the choice of one falls short of the best of the other, in the other's own table."""
    return 100 * (max(theirs.means) - theirs.means[ours.found["place"]])


def apart(ours: Run, theirs: Run) -> float:
    """The widest difference of two tables in a single fold, in points."""
    rows = zip(ours.found["table"], theirs.found["table"], strict=True)
    return 100 * max(abs(a - b) for row, other in rows for a, b in zip(row, other, strict=True))


def page(findings: Findings, machine: list[str]) -> str:
    """The results as Markdown."""
    machine = [line for line in machine if not line.startswith("timm")]
    parts = [
        "# How fast featx chooses and fits a classifier",
        "Made by `python benchmarks/stage_two.py`; run it on your own machine.",
        "\n".join(f"- {line}" for line in [*machine, f"scikit-learn {version('scikit-learn')}"]),
        HOW,
        *_compared(findings),
        *_alone(findings),
        *_predicted(findings),
    ]
    if findings.skipped:
        reasons = {name: re.sub(r"/[\w.@/-]{2,}", "…", reason) for name, reason in findings.skipped.items()}
        parts += ["## Left out", "\n".join(f"- {name}: {reason}" for name, reason in reasons.items())]
    return "\n\n".join(parts) + "\n"


def _compared(findings: Findings) -> list[str]:
    speeds, choices = [], []
    for name, case in CASES.items():
        pairs = findings.pairs(name)
        if not pairs:
            continue
        ours, theirs = pairs[0]
        ratio = Spread.of(their.found["seconds"] / our.found["seconds"] for our, their in pairs)
        assert ratio is not None
        wanted = ["", ""]
        if case.faster is not None:
            wanted = [f"{case.faster:g}", "yes" if ratio.median >= case.faster else "**no**"]
        speeds.append(
            [
                case.what,
                _shape(ours),
                _text(our.found["seconds"] for our, _ in pairs),
                _text(their.found["seconds"] for _, their in pairs),
                ratio.text(),
                *wanted,
                f"{statistics.median(our.memory for our, _ in pairs):,.0f}",
                f"{statistics.median(their.memory for _, their in pairs):,.0f}",
                f"{max(one.others for pair in pairs for one in pair):.0%}",
            ]
        )
        equal = next((our.found["equal"] for our, _ in pairs if "equal" in our.found), None)
        choices.append(
            [
                case.what,
                _shape(ours),
                _point(ours.found["chosen"]),
                f"{max(ours.means):.2%}",
                _point(theirs.found["chosen"]),
                f"{max(theirs.means):.2%}",
                f"{max(behind(our, their) for our, their in pairs):.2f}",
                "" if equal is None else f"{equal:.2%}",
                f"{max(apart(our, their) for our, their in pairs):.2f}",
            ]
        )
    if not speeds:
        return []
    heads = ["what", "features", "featx, s", "scikit-learn, s", "faster by", "wanted", "reached"]
    return [
        "## Beside scikit-learn",
        _table([*heads, "featx, MB", "scikit-learn, MB", "others at most"], speeds),
        "## What is chosen",
        CHOSEN,
        _table(
            [
                "what",
                "features",
                "featx's choice",
                "accuracy",
                "scikit-learn's choice",
                "accuracy",
                "behind",
                "equal predictions",
                "apart",
            ],
            choices,
        ),
    ]


def _alone(findings: Findings) -> list[str]:
    lines = []
    for name, case in CASES.items():
        runs = list(findings.of(name, "featx").values())
        if len(case.rows) > 1 or not runs:
            continue
        memory = Spread.of(one.memory for one in runs)
        assert memory is not None
        times = memory.most / runs[0].found["features"]
        whole = runs[0].shape == case.size
        reached = WANTED[name](max(one.found["seconds"] for one in runs), memory.most, times) if whole else ""
        lines.append(
            [
                case.what,
                _shape(runs[0]),
                runs[0].found["solver"],
                f"{len(runs[0].means)} of {math.prod(map(len, case.grid.values()))}",
                _text(one.found["seconds"] for one in runs),
                memory.text(),
                f"{times:.2f}",
                reached,
                f"{max(runs[0].means):.2%}",
                f"{max(one.others for one in runs):.0%}",
            ]
        )
    heads = ["what", "features", "solver", "values tried", "s", "MB", "times the features", "wanted", "accuracy"]
    words = "In blocks of rows, the grid is followed upwards until two values in a row are clearly worse than the best."
    return ["## Large sets", words, _table([*heads, "others at most"], lines)] if lines else []


def _in_time(seconds: float, memory: float, _times: float) -> str:
    return f"under 15 minutes and 8 GB: {'yes' if seconds < 900 and memory < 8_000 else '**no**'}"


def _in_memory(_seconds: float, _memory: float, times: float) -> str:
    return f"under 2.5 times the features: {'yes' if times < 2.5 else '**no**'}"


WANTED: dict[str, Callable[[float, float, float], str]] = {
    "large": _in_time,
    "map": _in_memory,
    "many classes": _in_memory,
}
"""What is wanted of the large sets, from seconds, MB, and MB as a multiple of the features."""


def _predicted(findings: Findings) -> list[str]:
    lines = []
    for name, case in CASES.items():
        runs = [one for one in findings.of(name, "featx").values() if one.found.get("predicted_seconds") is not None]
        if not runs:
            continue
        true = statistics.median(one.found["seconds"] for one in runs)
        predicted = runs[0].found["predicted_seconds"]
        lines.append(
            [
                case.what,
                _shape(runs[0]),
                runs[0].found["solver"],
                f"{predicted:.3g}",
                f"{true:.3g}",
                f"{predicted / true:.2g}",
                f"{runs[0].found['predicted_bytes'] / 1e6:,.0f}",
                f"{max(one.memory for one in runs):,.0f}",
            ]
        )
    heads = ["what", "features", "solver", "predicted, s", "true, s", "ratio", "predicted, MB", "whole process, MB"]
    words = "This is what `featx fit` predicts. Memory of the process and of the features is not included."
    return ["## Predicted cost", words, _table(heads, lines)] if lines else []


def _shape(one: Run) -> str:
    n, d, k = one.shape
    return f"{n:,} x {d:,}, {k} classes"


def _point(point: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in point.items())


def _text(figures: Iterable[float]) -> str:
    found = Spread.of(figures)
    return "" if found is None else found.text()


def _table(heads: list[str], lines: list[list[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
