"""The state of a training after an epoch, in a file that appears whole or not at all."""

import contextlib
import errno
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.files import open_regular, parse_json, whole

Arrays = list[NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Figures of one epoch; of epoch 0, before anything is trained.

    Parameters
    ----------
    number : int
        0 for the start.
    rate : float
        Learning rate at its end.
    loss, accuracy : float
        Of the training images while they were learnt from: mean cross-entropy in nats, and a share in [0, 1].
    validation_loss, validation_accuracy : float
        Of the validation images after it.
    seconds : float
        Time that it took.
    """

    number: int
    rate: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float

    @property
    def rank(self) -> tuple[float, float]:
        """Order among epochs: the accuracy on validation images, and of equals the loss."""
        return self.validation_accuracy, -self.validation_loss


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """Everything that an interrupted training needs to go on as if it hadn't been.

    The order of images, the factors of a dropout and the choice among views are drawn from the seed and the number of
    the epoch, so that no state of a random generator has to be kept.

    Parameters
    ----------
    key : str
        Digest of everything that decides the result; a checkpoint of another key is not gone on from.
    history : tuple of Epoch
        The epochs so far.
    arrays : list of array
        The variables that are trained.
    best : list of array
        The same after the best epoch.
    optimizer : list of array
        The variables of the optimizer.
    """

    key: str
    history: tuple[Epoch, ...]
    arrays: Arrays
    best: Arrays
    optimizer: Arrays

    @property
    def taken(self) -> Epoch:
        """The best epoch, of equals the earliest; the start is left for a higher accuracy only.

        On a few validation images the loss falls by chance as well, and what has not changed has lost nothing.
        """
        start, best = self.history[0], self.best_trained
        return best if best is not None and best.validation_accuracy > start.validation_accuracy else start

    @property
    def best_trained(self) -> Epoch | None:
        """The best epoch after the start; None where there is none yet."""
        return max(self.history[1:], key=lambda one: one.rank, default=None)

    def save(self, path: Path) -> None:
        """Write the checkpoint; the one before stays until this one is whole.

        Raises
        ------
        FeatxError
            It can't be written; where the disk is full, the message says that the last one is kept.
        """
        about = json.dumps({"key": self.key, "history": [asdict(one) for one in self.history]}).encode("ascii")
        named = {"about": np.frombuffer(about, np.uint8)}
        for part in ("arrays", "best", "optimizer"):
            named |= {f"{part}_{number}": array for number, array in enumerate(getattr(self, part))}
        try:
            with whole(path) as file:
                np.savez(file, allow_pickle=False, **named)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            kept = f"what was trained up to epoch {self.history[-1].number - 1} is kept there" if full else ""
            raise FeatxError(
                f"{path.parent}: the state of the training can't be written ({error.strerror or error})"
                + (f"; {kept}; free some space, then the same command goes on" if full else "")
            ) from error

    @classmethod
    def load(cls, path: Path, *, key: str) -> Self | None:
        """Read a checkpoint; None where there is none of this key."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError):
            with open_regular(path) as opened:
                data = io.BytesIO(opened.read())
            with np.load(data, allow_pickle=False) as file:
                about = parse_json(bytes(file["about"]))
                if about["key"] != key:
                    return None
                return cls(
                    key=key,
                    history=tuple(Epoch(**one) for one in about["history"]),
                    **{part: _numbered(file, part) for part in ("arrays", "best", "optimizer")},
                )
        return None


def _numbered(file: Any, part: str) -> Arrays:
    names: Sequence[str] = [name for name in file.files if name.startswith(f"{part}_")]
    return [file[f"{part}_{number}"] for number in range(len(names))]
