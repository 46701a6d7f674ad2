"""The epochs of a training: order, rate, validation, the best epoch, and the checkpoint after each."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.training.checkpoints import Checkpoint, Epoch
from featx.training.recipe import Recipe
from featx.training.steps import Program, compiled, forward
from featx.training.tail import Trainable


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Cached activations with their labels.

    Parameters
    ----------
    values : (n, ...) float32
        Activations, in the shape that the network takes; may be mapped from a file.
    rows : (m,) int64
        Rows that are meant.
    labels : (m,) int32
        Their classes.
    views : (n, K, ...) float32 or None
        Activations of augmented views of the same images.
    """

    values: NDArray[np.float32]
    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    views: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: NDArray[np.int64], version: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Copy the activations at some places of `rows`; `version` has 0 for the image itself, k for its view k - 1."""
        rows = self.rows[places]
        found = self.values[rows]
        if version is not None and self.views is not None:
            for place in np.flatnonzero(version):
                found[place] = self.views[rows[place], version[place] - 1]
        return found


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A place where a training stops and from which it goes on: its checkpoint.

    Parameters
    ----------
    path : Path
        The file.
    key : str
        Digest of everything that decides the result.
    """

    path: Path
    key: str


Observer = Callable[[Epoch], None]
"""Gets the figures of an epoch once it is done and kept."""


def train(
    network: Trainable,
    training: Examples,
    validation: Examples,
    recipe: Recipe,
    *,
    class_weights: NDArray[np.float32] | None = None,
    place: Stopped,
    observe: Observer = lambda _: None,
) -> Checkpoint:
    """Train a network, or go on from its checkpoint, and leave it with the weights of the best epoch.

    Epoch 0, before anything is trained, is one of those compared: the result is never worse than the start on the
    validation images.

    Parameters
    ----------
    network : Trainable
        With the weights to start from.
    training, validation : Examples
        Images to learn from, and to compare the epochs on.
    recipe : Recipe
        How to train.
    class_weights : (k,) float32, optional
        Weight of an image of each class in the loss, in training and in validation.
    place : Stopped
        Where the checkpoint is, or is to be.
    observe : callable
        As `Observer`.

    Returns
    -------
    Checkpoint
        The last one, with the figures of every epoch.

    Raises
    ------
    FeatxError
        The checkpoint can't be written.
    """
    batch_size = recipe.batch_size
    program = compiled(network.model, batch_size=batch_size)
    weights = np.ones(network.head.layers[-1][1].shape, np.float32) if class_weights is None else class_weights
    run = _Run(network=network, program=program, weights=weights, batch_size=batch_size)
    state = Checkpoint.load(place.path, key=place.key)
    if state is None:
        started = time.perf_counter()
        (loss, accuracy), (other_loss, other_accuracy) = run.figures(training), run.figures(validation)
        first = Epoch(
            number=0,
            rate=0.0,
            loss=loss,
            accuracy=accuracy,
            validation_loss=other_loss,
            validation_accuracy=other_accuracy,
            seconds=time.perf_counter() - started,
        )
        state = Checkpoint(
            key=place.key,
            history=(first,),
            arrays=network.arrays(),
            best=network.arrays(),
            optimizer=program.state(),
        )
        state.save(place.path)
    else:
        network.assign(state.arrays)
        program.restore(state.optimizer)
    for epoch in state.history:
        observe(epoch)
    while not _finished(state, recipe):
        state = run.epoch(state, training, validation, recipe)
        state.save(place.path)
        observe(state.history[-1])
    network.assign(state.best)
    return state


def _finished(state: Checkpoint, recipe: Recipe) -> bool:
    # Accuracy often falls below the start at first. An epoch that is better than those before it is a step on, even so.
    last, best = state.history[-1].number, state.best_trained
    return last >= recipe.epochs or (best is not None and last - best.number >= recipe.patience)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """A training that goes on, epoch by epoch."""

    network: Trainable
    program: Program
    weights: NDArray[np.float32]
    batch_size: int

    def epoch(self, state: Checkpoint, training: Examples, validation: Examples, recipe: Recipe) -> Checkpoint:
        """Train for one more epoch."""
        started, number = time.perf_counter(), state.history[-1].number + 1
        # The same draws whether or not the process has been another one in between.
        generator = np.random.default_rng([recipe.seed, number])
        order = generator.permutation(len(training))
        views = 0 if training.views is None else training.views.shape[1]
        version = generator.integers(0, views + 1, len(training)) if views else None
        steps = -(-len(order) // self.batch_size)
        done: list[tuple[Any, Any]] = []
        rate = 0.0
        for step, places in enumerate(self._batches(order)):
            rate = recipe.rate_at((number - 1) * steps + step, steps)
            values = training.take(places, None if version is None else version[places])
            labels = training.labels[places]
            inputs = [self._filled(values), *self._kept(generator)]
            done.append(self.program.step(inputs, self._filled(labels), self._filled(self.weights[labels]), rate))
        loss = sum(float(one) for one, _ in done) / float(self.weights[training.labels].sum())
        accuracy = sum(int(right) for _, right in done) / len(training)
        other_loss, other_accuracy = self.figures(validation)
        epoch = Epoch(
            number=number,
            rate=rate,
            loss=loss,
            accuracy=accuracy,
            validation_loss=other_loss,
            validation_accuracy=other_accuracy,
            seconds=time.perf_counter() - started,
        )
        arrays = self.network.arrays()
        reached = Checkpoint(
            key=state.key,
            history=(*state.history, epoch),
            arrays=arrays,
            best=state.best,
            optimizer=self.program.state(),
        )
        return replace(reached, best=arrays) if reached.taken is epoch else reached

    def scores(self, examples: Examples) -> NDArray[np.float32]:
        """Compute the scores (m, k) of the images themselves, without dropout."""
        parts = []
        for places in self._batches(np.arange(len(examples))):
            inputs = [self._filled(examples.take(places)), *self._kept(None)]
            parts.append(self.program.scores(inputs)[: len(places)])
        return np.concatenate(parts)

    def figures(self, examples: Examples) -> tuple[float, float]:
        """Compute the mean loss and the accuracy."""
        scores = self.scores(examples).astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        own = scores[np.arange(len(scores)), examples.labels]
        losses, weights = np.log(np.exp(scores).sum(axis=1)) - own, self.weights[examples.labels]
        right = scores.argmax(axis=1) == examples.labels
        return float((weights * losses).sum() / weights.sum()), float(right.mean())

    def _batches(self, order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        for start in range(0, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def _filled(self, array: NDArray[Any]) -> NDArray[Any]:
        return _filled(array, self.batch_size)

    def _kept(self, generator: np.random.Generator | None) -> list[NDArray[np.float32]]:
        """Draw the factors of a dropout; without a generator nothing is left out."""
        dropout, hidden = self.network.dropout, self.network.head.hidden if self.network.dropout else None
        if hidden is None:
            return []
        shape = (self.batch_size, hidden)
        if generator is None:
            return [np.ones(shape, np.float32)]
        return [(generator.random(shape) >= dropout).astype(np.float32) / np.float32(1 - dropout)]


def outputs(model: Any, examples: Examples, *, batch_size: int = Recipe.batch_size) -> NDArray[np.float32]:
    """Compute what a network of one input gives for images (m, d), as it is."""
    program, parts = forward(model, batch_size=batch_size), []
    for start in range(0, len(examples), batch_size):
        places = np.arange(start, min(start + batch_size, len(examples)))
        parts.append(program([_filled(examples.take(places), batch_size)])[: len(places)])
    return np.concatenate(parts)


def _filled(array: NDArray[Any], batch_size: int) -> NDArray[Any]:
    """Fill the last batch up with rows of zeros, whose weight is 0."""
    if len(array) == batch_size:
        return array
    full = np.zeros((batch_size, *array.shape[1:]), array.dtype)
    full[: len(array)] = array
    return full
