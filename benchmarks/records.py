"""Records of single runs, and figures over turns: medians, spreads, ratios within a turn."""

import dataclasses
import json
import statistics
from collections.abc import Callable, Iterable
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One run.

    Parameters
    ----------
    section, turn, backbone, row
        What was run, and in which turn.
    images : int
        Number of images.
    rate : float or None
        Images/s of the loop.
    wall, cpu : float
        Seconds of the whole process: on the clock, and of CPU time.
    others : float
        Share of the machine's CPU time that other programs had.
    memory : float or None
        MB of all processes at their most.
    more : dict
        What else the contender told.
    """

    section: str
    turn: int
    backbone: str
    row: str
    images: int
    rate: float | None
    wall: float
    cpu: float
    others: float
    memory: float | None
    more: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """All that was measured.

    Parameters
    ----------
    records : list of Record
        Runs.
    images : list of str
        What the images were.
    weights : dict of str to str
        Kind of weights of each backbone.
    skipped : dict of str to str
        What was left out, and why.
    """

    records: list[Record]
    images: list[str]
    weights: dict[str, str]
    skipped: dict[str, str]

    def to_json(self) -> str:
        """Text that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Findings":
        """Read findings back from `to_json`."""
        fields = json.loads(text)
        return cls(**fields | {"records": [Record(**record) for record in fields["records"]]})

    def joined(self, later: "Findings") -> "Findings":
        """Both, with the turns of the later ones numbered on."""
        turns = 1 + max((record.turn for record in self.records), default=-1)
        return Findings(
            records=self.records + [dataclasses.replace(one, turn=one.turn + turns) for one in later.records],
            images=list(dict.fromkeys(self.images + later.images)),
            weights=self.weights | later.weights,
            skipped=self.skipped | later.skipped,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """Median, least and most of some figures."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Iterable[float]) -> "Spread | None":
        """None of no figures."""
        found = list(figures)
        return cls(median=statistics.median(found), least=min(found), most=max(found)) if found else None

    def text(self, digits: int = 3) -> str:
        """Such as ``2.81 (2.70 to 2.95)``."""
        median, least, most = (digits_of(figure, digits) for figure in (self.median, self.least, self.most))
        return f"{median} ({least} to {most})"


class Runs:
    """Records, found by what they are of."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)

    def of(self, section: str, backbone: str, row: str) -> dict[int, Record]:
        """Records by turn."""
        wanted = (section, backbone, row)
        return {one.turn: one for one in self.records if (one.section, one.backbone, one.row) == wanted}

    def backbones(self, section: str) -> list[str]:
        """Backbones of a section, in the order they were run."""
        return list(dict.fromkeys(one.backbone for one in self.records if one.section == section))

    def ratios(self, section: str, backbone: str, rows: tuple[str, ...], figure: Callable[..., float]) -> Spread | None:
        """`figure` of the records of several rows in the same turn, over all turns that have them all."""
        columns = [self.of(section, backbone, row) for row in rows]
        turns = set.intersection(*(set(column) for column in columns))
        return Spread.of(figure(*(column[turn] for column in columns)) for turn in sorted(turns))


def faster(ours: Record, theirs: Record) -> float:
    """How many times faster a loop is than another."""
    assert ours.rate
    assert theirs.rate
    return ours.rate / theirs.rate


def shorter(ours: Record, theirs: Record) -> float:
    """How many times shorter a whole process is than another."""
    return theirs.wall / ours.wall


def share(ours: Record, decoder: Record, backbone: Record) -> float:
    """Speed of a loop as a share of what its two halves allow on cores that they share."""
    assert ours.rate
    assert decoder.rate
    assert backbone.rate
    return ours.rate * (1 / decoder.rate + 1 / backbone.rate)


def allowed(decoder: Record, backbone: Record, theirs: Record) -> float:
    """How many times faster than another a loop could be whose halves share the cores and lose nothing."""
    assert decoder.rate
    assert backbone.rate
    assert theirs.rate
    return 1 / (1 / decoder.rate + 1 / backbone.rate) / theirs.rate


def cpu_per_image(one: Record) -> float | None:
    """Milliseconds of CPU time that an image takes in the loop."""
    images = one.more.get("loop_images")
    return 1000 * float(one.more["loop_cpu"]) / images if images else None


def cpu_share(ours: Record, decoder: Record, backbone: Record) -> float:
    """CPU time of a loop's two halves as a share of the loop's: what is lost in joining them, idle cores apart."""
    loop, *halves = (cpu_per_image(one) or 0.0 for one in (ours, decoder, backbone))
    return sum(halves) / loop


def beyond(ours: Record, nothing: Record) -> float:
    """Seconds beyond those of an interpreter that does nothing."""
    return ours.wall - nothing.wall


def memory(ours: Record) -> float:
    """MB of all processes."""
    assert ours.memory
    return ours.memory


def digits_of(figure: float, digits: int) -> str:
    """Give a number with so many significant digits and no exponent."""
    whole = len(str(int(abs(figure))))
    return f"{figure:,.{max(0, digits - whole)}f}"
