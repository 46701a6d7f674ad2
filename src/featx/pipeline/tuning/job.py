"""The job of a tuning: what is trained, how, and where the results go."""

from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

from featx.errors import UsageError
from featx.manifest import TableOptions
from featx.training.recipe import Recipe

FEW = 500
"""Images below which fine-tuning was not seen to gain anything over frozen features."""

GENTLE_RATE = 1e-4
"""Rate for few images, at which the least is lost; only the last block is trained then."""

HEAD_EPOCHS = 60
"""Epochs of a head that begins with nothing; one of them takes a fraction of a second."""

DROPOUT = 0.5
"""Share of the hidden layer of a head that is left out in training."""

VALIDATION = 0.15
"""Share of the images that the epochs are compared on."""


@dataclass(frozen=True, kw_only=True)
class TuningJob:
    """The part that is trained, the images and the way; None is what suits the network and the number of images.

    Parameters
    ----------
    source : Path
        Folder, CSV or feature store of the images.
    table : TableOptions
        The way to read a CSV.
    last : int or None
        Blocks that are trained; 0 trains a head on features as they are.
    from_layer : str or None
        Layer behind which everything is trained, in place of `last`.
    head : int or None
        Width of the hidden layer of a head, for ``last=0``.
    epochs, rate, patience, seed
        As in `featx.training.loop.Recipe`.
    views : int
        Augmented views of each image; in every epoch an image is seen as it is or as one of them.
    flip : bool
        Half of the views are mirrored.
    validation : float or str
        Share of the images to compare the epochs on; or the name of a split of the source, or a folder, CSV or store.
    group_by : str or None
        Regular expression; images in whose paths it finds the same text stay together when a share is held out.
    keep_cache : bool
        Keep the activations for the next tuning of the same network on these images.
    out : Path or None
        Folder of all results.
    """

    source: Path
    table: TableOptions
    last: int | None = None
    from_layer: str | None = None
    head: int | None = None
    epochs: int | None = None
    rate: float | None = None
    patience: int = Recipe.patience
    seed: int = Recipe.seed
    views: int = 0
    flip: bool = True
    validation: float | str = VALIDATION
    group_by: str | None = None
    keep_cache: bool = False
    out: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        if self.last is not None and self.from_layer is not None:
            raise UsageError("`last` and `from_layer` both say what is trained: give one of them")
        for name, least in (("last", 0), ("epochs", 1), ("patience", 1), ("seed", 0), ("head", 1), ("views", 0)):
            value = getattr(self, name)
            if value is not None:
                if not isinstance(value, Integral) or value < least:
                    raise UsageError(f"`{name}={value}`: a whole number of at least {least} is needed")
                object.__setattr__(self, name, int(value))  # NumPy's own can't be written to the record
        if (self.head is None) == (self.last == 0):
            raise UsageError(
                "`last=0` trains a head on features that stay as they are: give the width of its hidden layer with "
                "`head`, such as `head=256`"
                if self.head is None
                else f"`head={self.head}`: a head with a hidden layer is trained with `last=0` only"
            )
        if self.views and self.head is not None:
            raise UsageError("`views` are for tuning the network: leave them out with `last=0`")
        if not self.flip and not self.views:
            raise UsageError("`flip=False` is for views: say with `views` how many of each image are wanted")
        if self.rate is not None:
            if not isinstance(self.rate, Real) or not 0 < self.rate < 1:
                raise UsageError(f"`rate={self.rate}`: a learning rate is a number between 0 and 1")
            object.__setattr__(self, "rate", float(self.rate))
        if isinstance(self.validation, str):
            if self.group_by is not None:
                raise UsageError(
                    "`group_by` is for a share of the images that is held out, and `validation` names images: leave "
                    "one of them out"
                )
            if _is_number(self.validation):
                raise UsageError(
                    f"`validation={self.validation!r}` is text: give a share as a number, and a folder that is called "
                    f"so as './{self.validation}'"
                )
        else:
            if not isinstance(self.validation, Real) or not 0 < self.validation <= 0.5:
                raise UsageError(
                    f"`validation={self.validation}`: a share of the images is a number above 0 and at most 0.5; a "
                    "split or a folder is named"
                )
            object.__setattr__(self, "validation", float(self.validation))

    def blocks(self, images: int) -> int | None:
        """Return the number of blocks to train on so many images; None for the usual place of the network."""
        return 1 if self.last is None and self.from_layer is None and images < FEW else self.last

    def recipe(self, images: int) -> Recipe:
        """Return the recipe for so many images."""
        rate = GENTLE_RATE if images < FEW and self.head is None else Recipe.rate
        epochs = Recipe.epochs if self.head is None else HEAD_EPOCHS
        return Recipe(
            epochs=self.epochs or epochs,
            rate=self.rate or rate,
            patience=self.patience,
            seed=self.seed,
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
