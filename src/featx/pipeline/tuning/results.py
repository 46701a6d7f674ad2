"""The results of a tuning: weights, a model and a record, each written whole, the record last."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from featx import notebook
from featx.backbones.tuned import key_of
from featx.errors import FeatxError
from featx.files import parse_json, write_whole
from featx.model import Model
from featx.pipeline.naming import MODEL_SUFFIX, MODELS
from featx.reports.shown_page import Page
from featx.reports.training_page import TrainingPage
from featx.training.checkpoints import Epoch
from featx.version import __version__

WEIGHTS = Path("artifacts/weights")
WEIGHTS_SUFFIX = ".weights.h5"

FORMAT = "featx-tuning"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Places:
    """The files of one tuning.

    Parameters
    ----------
    name : str
        Stem of the weights and the record.
    weights, features, record, model : Path
        Weights; features of the training images under them; the record (JSON), written last; and the model.
    """

    name: str
    weights: Path
    features: Path
    record: Path
    model: Path

    @classmethod
    def named(cls, name: str, *, kind: str, out: Path | None) -> "Places":
        """Name the files; `kind` is ``tuned`` or ``head``."""
        folder, models = (WEIGHTS, MODELS) if out is None else (out, out)
        stem = name if kind == "tuned" else f"{name}-{kind}"
        return cls(
            name=stem,
            weights=folder / f"{stem}{WEIGHTS_SUFFIX}",
            features=folder / f"{stem}.features.h5",
            record=folder / f"{stem}.json",
            model=models / f"{name}-{kind}{MODEL_SUFFIX}",
        )

    @classmethod
    def free(cls, name: str, *, kind: str, out: Path | None, key: str) -> "Places":
        """Name files that hold nothing yet, or results of the same tuning, or what is left of an interrupted one."""
        number = 1
        while True:
            found = cls.named(name if number == 1 else f"{name}-{number}", kind=kind, out=out)
            if found._may_be_written(kind=kind, key=key):
                return found
            number += 1

    @property
    def page(self) -> Path:
        """Path of the page of the curves."""
        return self.record.with_suffix(".html")

    def holds_weights(self, key: str) -> bool:
        """Return True if the weights are there, and those of this tuning."""
        # A pipe of that name would be waited for.
        return self.weights.is_file() and key_of(self.weights) == key

    def _may_be_written(self, *, kind: str, key: str) -> bool:
        # A dangling link is something of the user's as well.
        there = kind == "tuned" and os.path.lexists(self.weights)
        if there and not self.holds_weights(key):
            return False
        if _key(self.record) == key:
            return True
        # An interrupted tuning leaves its weights, and perhaps features under them.
        others = [self.record, self.page, self.model, *([self.features] if kind == "tuned" and not there else [])]
        return not any(os.path.lexists(one) for one in others)


def _key(record: Path) -> str | None:
    try:
        found = parse_json(record.read_bytes())
    except (OSError, ValueError):
        return None
    return str(found.get("key")) if isinstance(found, dict) and found.get("format") == FORMAT else None


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Tuned:
    """The result of `featx.tune`.

    Parameters
    ----------
    name : str
        Stem of its files.
    model : Model
        The tuned classifier, for features of the tuned weights.
    weights : Path or None
        Weights of the whole backbone, for ``featx extract --weights``; None where only a head was trained.
    record : Path
        JSON with the recipe, the curves and the digests of the images trained on and compared on.
    epochs : tuple of Epoch
        Figures of every epoch; the first is the start.
    taken : int
        Number of the epoch whose weights these are; 0 is the start.
    training, validation : int
        Images trained on, and images that the epochs were compared on.
    notes : tuple of str
        What a reader should know.
    """

    name: str
    model: Model
    weights: Path | None
    record: Path
    epochs: tuple[Epoch, ...]
    taken: int
    training: int
    validation: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Tuned {self.name}: {self.answer}>"

    def _repr_html_(self) -> str:
        rows = [
            ("model", str(self.model.file)),
            ("weights", "as they were" if self.weights is None else str(self.weights)),
            ("images", f"{self.training:,} to train on, {self.validation:,} to compare the epochs on"),
            ("result", self.answer),
        ]
        return notebook.html_table(self.name, rows, notes=self.notes)

    @property
    def page(self) -> Page | None:
        """HTML page of the curves beside the record, which a notebook shows as the page; None where it is gone."""
        page = Page(self.record.absolute().with_suffix(".html"))
        return page if page.is_file() else None

    @property
    def answer(self) -> str:
        """Sentence for people: accuracy on the validation images before and after."""
        start, best = (next(one for one in self.epochs if one.number == number) for number in (0, self.taken))
        if not self.taken:
            return (
                f"no epoch was better than the start on the {self.validation:,} validation images "
                f"({start.validation_accuracy:.1%}): weights and model are as they were"
            )
        return (
            f"{best.validation_accuracy:.1%} of the {self.validation:,} validation images right after epoch "
            f"{self.taken}, {start.validation_accuracy:.1%} before"
        )


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Values of a tuning's record beside its curves.

    Parameters
    ----------
    key : str
        Digest of everything that decides the result.
    about : mapping
        Backbone, cut, recipe, sources.
    training, validation : sequence of str
        Digests of the images, in hexadecimal digits.
    seconds : mapping of str to float
        Time that the parts took.
    notes : sequence of str
        As in `Tuned`.
    """

    key: str
    about: Mapping[str, Any]
    training: Sequence[str]
    validation: Sequence[str]
    seconds: Mapping[str, float]
    notes: Sequence[str] = ()
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def write_record(facts: Facts, found: Tuned) -> None:
    """Write the page of a tuning, then its record, which says that all is there."""
    path, epochs, taken = found.record, found.epochs, found.taken
    about = facts.about
    recipe = about["recipe"]
    shown = {
        "Backbone": about["backbone"],
        "Trained behind": about.get("cut"),
        "Hidden layer": about.get("head"),
        "Images": f"{found.training:,} to train on, {found.validation:,} to compare the epochs on",
        "Classes": f"{len(about['classes']):,}",
        "Views": None if about.get("views") is None else about["views"]["count"],
        "Rate": f"{recipe['rate']:g} at most, after {recipe['warmup']} epochs",
        "Epochs": f"{recipe['epochs']} at most; {recipe['patience']} without a better one end the training",
        "Batch": recipe["batch_size"],
        "Seed": recipe["seed"],
        "Seconds": ", ".join(f"{part} {seconds:.0f}" for part, seconds in facts.seconds.items()),
    }
    page = TrainingPage(
        name=found.model.name,
        answer=found.answer,
        epochs=[asdict(one) for one in epochs],
        taken=taken,
        facts=shown,
        notes=facts.notes,
        created=facts.created,
    )
    write_whole(path.with_suffix(".html"), page.render().encode("utf-8"))
    plain = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "key": facts.key,
        **facts.about,
        "epochs": [asdict(one) for one in epochs],
        "taken": taken,
        "notes": list(facts.notes),
        "seconds": dict(facts.seconds),
        "featx_version": __version__,
        "created": facts.created,
        "training": list(facts.training),
        "validation": list(facts.validation),
    }
    write_whole(path, (json.dumps(plain, indent=1, ensure_ascii=True) + "\n").encode("ascii"))


def finished(places: Places, *, key: str) -> Tuned | None:
    """Read the results of a tuning that is done already; None where it isn't."""
    if _key(places.record) != key:
        return None
    try:
        plain = parse_json(places.record.read_bytes())
        if plain["kind"] == "tail" and not places.holds_weights(key):
            return None
        model = Model.load(places.model)
        return Tuned(
            name=places.name,
            model=model,
            weights=places.weights if places.weights.is_file() else None,
            record=places.record,
            epochs=tuple(Epoch(**one) for one in plain["epochs"]),
            taken=int(plain["taken"]),
            training=len(plain["training"]),
            validation=len(plain["validation"]),
            notes=tuple(plain["notes"]),
        )
    except (FeatxError, OSError, ValueError, KeyError, TypeError):
        return None  # a part of it is gone: it is done again


def digest_of(parts: Mapping[str, Any]) -> str:
    """Compute the digest of everything that decides a result, 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode("ascii")).hexdigest()
