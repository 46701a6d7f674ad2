"""The epochs of a tuning with their progress, and what is kept of them when they are stopped."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import Interrupted
from featx.pipeline.tuning.activations import tuning_folder
from featx.pipeline.tuning.data import Data
from featx.progress import Progress, Step
from featx.training.checkpoints import Checkpoint, Epoch
from featx.training.loop import Stopped, train
from featx.training.recipe import Recipe
from featx.training.tail import Trainable


@dataclass(frozen=True, kw_only=True)
class EpochStep(Step):
    """An epoch that is done, as a step for observers.

    Parameters
    ----------
    epoch : Epoch
        Its figures.
    epochs : int
        Number of epochs that there are at most.
    """

    epoch: Epoch
    epochs: int


def run(
    network: Trainable,
    data: Data,
    recipe: Recipe,
    *,
    class_weights: NDArray[np.float32] | None,
    key: str,
    target: Path,
    progress: Progress,
) -> Checkpoint:
    """Train, with a bar; stopped, say what is kept.

    Raises
    ------
    Interrupted
        Stopped by the user.
    FeatxError
        The disk is full; the last checkpoint is kept.
    """
    place = Stopped(path=checkpoint_path(key), key=key)
    done: list[Epoch] = []
    begun = False

    def observe(epoch: Epoch) -> None:
        nonlocal begun
        if not begun:
            progress.begin(target, total=recipe.epochs, done=0)
            begun = True
        elif epoch.number:
            progress.advance(target, done=1, failed=0)
        done.append(epoch)
        progress.step(EpochStep(text=sentence(epoch, recipe.epochs), epoch=epoch, epochs=recipe.epochs))

    try:
        return train(
            network,
            data.training,
            data.validation,
            recipe,
            class_weights=class_weights,
            place=place,
            observe=observe,
        )
    except KeyboardInterrupt as stop:
        kept = f"{done[-1].number} of {recipe.epochs} epochs are kept; " if done else ""
        raise Interrupted(f"stopped: {kept}the same command goes on from there") from stop


def sentence(epoch: Epoch, epochs: int) -> str:
    """Say in one line how an epoch went."""
    name = f"epoch {epoch.number} of {epochs}" if epoch.number else "at the start"
    return (
        f"{name}: loss {epoch.loss:.3f}, accuracy {epoch.accuracy:.1%}; on the validation images "
        f"{epoch.validation_loss:.3f}, {epoch.validation_accuracy:.1%}"
    )


def checkpoint_path(key: str) -> Path:
    """Path of the checkpoint of a tuning."""
    return tuning_folder() / f"checkpoint-{key[:32]}.npz"
