"""A small convolutional network of one's own, trained on pixels from random weights."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.session import exact_arithmetic, fresh_names, import_keras
from featx.training.checkpoints import Epoch
from featx.training.recipe import Recipe
from featx.training.steps import Program, compiled

SIDE = 48
"""Height and width in pixels of what the network sees."""

FILTERS = (16, 32, 64, 64)
"""Filters of each convolution; behind each, height and width are halved."""

SHIFT = 4
"""Pixels by which a training image is moved at most, along either side."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """Images with their classes.

    Parameters
    ----------
    images : (n, SIDE, SIDE, 3) uint8
        RGB.
    rows : (m,) int64
        Rows that are meant.
    labels : (m,) int32
        Their classes.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A network, trained.

    Parameters
    ----------
    history : tuple of Epoch
        Figures of every epoch.
    taken : Epoch
        The epoch whose weights the network has.
    parameters : int
        Number of its weights.
    predict : callable
        Gives the scores (m, k) float32 of `Pixels`; their softmax are the probabilities.
    """

    history: tuple[Epoch, ...]
    taken: Epoch
    parameters: int
    predict: Callable[[Pixels], NDArray[np.float32]]


def train_from_scratch(
    training: Pixels,
    validation: Pixels,
    recipe: Recipe,
    *,
    classes: int,
    flip: bool,
    observe: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train a new network; the epoch that does best on the validation images is taken.

    Nothing is drawn but from the recipe's seed: the first weights, the order of the images, and the shifts.

    Parameters
    ----------
    training, validation : Pixels
        Images to learn from, and to compare the epochs on.
    recipe : Recipe
        How to train.
    classes : int
        Number of classes.
    flip : bool
        Half of the training images are mirrored, others in every epoch.
    observe : callable
        Gets the figures of each epoch once it is done.

    Returns
    -------
    Trained
    """
    import_keras()
    with exact_arithmetic():
        model = network(classes, seed=recipe.seed)
        run = _Run(
            model=model,
            program=compiled(model, batch_size=recipe.batch_size),
            recipe=recipe,
            flip=flip,
            scaling=_scaling(training),
        )
        history: list[Epoch] = []
        best: list[NDArray[Any]] = []
        taken: Epoch | None = None
        while len(history) < recipe.epochs and (taken is None or len(history) - taken.number < recipe.patience):
            history.append(run.epoch(len(history) + 1, training, validation))
            if taken is None or history[-1].rank > taken.rank:
                taken, best = history[-1], [np.array(one) for one in model.get_weights()]
            observe(history[-1])
        assert taken is not None
        model.set_weights(best)
    return Trained(history=tuple(history), taken=taken, parameters=int(model.count_params()), predict=run.scores)


def network(classes: int, *, seed: int) -> Any:
    """Build the network with random weights: convolutions of 3 x 3 with pooling, then the mean over all places.

    Parameters
    ----------
    classes : int
        Scores that it gives.
    seed : int
        Of the weights.

    Returns
    -------
    keras.Model
        Of (b, SIDE, SIDE, 3) float32 to scores (b, classes); 60,512 weights, and 65 more for each class.
    """
    keras = import_keras()
    layers, initializers = keras.layers, keras.initializers
    with fresh_names():
        pixels = values = keras.Input((SIDE, SIDE, 3), name="pixels")
        for place, filters in enumerate(FILTERS):
            start = initializers.HeNormal(seed=_seed(seed, place))
            values = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer=start)(values)
            values = layers.MaxPooling2D()(values)
        values = layers.GlobalAveragePooling2D()(values)
        start = initializers.GlorotUniform(seed=_seed(seed, len(FILTERS)))
        return keras.Model([pixels], layers.Dense(classes, kernel_initializer=start, name="scores")(values))


def _seed(seed: int, layer: int) -> int:
    """Derive the seed of a layer's first weights, which Keras takes up to 31 bits long."""
    return ((len(FILTERS) + 1) * seed + layer) % 2**31


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """A training, epoch by epoch."""

    model: Any
    program: Program
    recipe: Recipe
    flip: bool
    scaling: tuple[NDArray[np.float32], NDArray[np.float32]]

    def epoch(self, number: int, training: Pixels, validation: Pixels) -> Epoch:
        """Train for one epoch, counted from 1."""
        started = time.perf_counter()
        size = self.recipe.batch_size
        generator = np.random.default_rng([self.recipe.seed, number])
        order = generator.permutation(len(training))
        steps = -(-len(order) // size)
        loss, right, rate = 0.0, 0, 0.0
        for step in range(steps):
            places = order[step * size : (step + 1) * size]
            rate = self.recipe.rate_at((number - 1) * steps + step, steps)
            images = changed(training.images[training.rows[places]], generator, flip=self.flip)
            summed, counted = self.program.step(
                [self._scaled(images)],
                _filled(training.labels[places], size),
                _filled(np.ones(len(places), np.float32), size),
                rate,
            )
            loss, right = loss + float(summed), right + int(counted)
        validation_loss, validation_accuracy = self.figures(validation)
        return Epoch(
            number=number,
            rate=rate,
            loss=loss / len(training),
            accuracy=right / len(training),
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.perf_counter() - started,
        )

    def scores(self, pixels: Pixels) -> NDArray[np.float32]:
        """Compute the scores (m, k) of images as they are."""
        size, parts = self.recipe.batch_size, []
        for start in range(0, len(pixels), size):
            rows = pixels.rows[start : start + size]
            parts.append(self.program.scores([self._scaled(pixels.images[rows])])[: len(rows)])
        return np.concatenate(parts)

    def figures(self, pixels: Pixels) -> tuple[float, float]:
        """Compute the mean loss and the accuracy."""
        logarithms = log_softmax(self.scores(pixels))
        own = logarithms[np.arange(len(pixels)), pixels.labels]
        return float(-own.mean()), float((logarithms.argmax(axis=1) == pixels.labels).mean())

    def _scaled(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        mean, factor = self.scaling
        return _filled((images.astype(np.float32) - mean) * factor, self.recipe.batch_size)


def changed(images: NDArray[np.uint8], generator: np.random.Generator, *, flip: bool) -> NDArray[np.uint8]:
    """Move each image (b, SIDE, SIDE, 3) by up to `SHIFT` pixels, the edge repeated, and mirror half of them."""
    room = ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0))
    wide, moved = np.pad(images, room, mode="edge"), np.empty_like(images)
    for place, (down, right) in enumerate(generator.integers(0, 2 * SHIFT + 1, (len(images), 2)).tolist()):
        moved[place] = wide[place, down : down + SIDE, right : right + SIDE]
    if flip:
        mirrored = generator.random(len(images)) < 0.5
        moved[mirrored] = moved[mirrored][:, :, ::-1]
    return moved


def log_softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Turn scores (m, k) into logarithms of probabilities."""
    gaps = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    logarithms: NDArray[np.float64] = gaps - np.log(np.exp(gaps).sum(axis=1, keepdims=True))
    return logarithms


def _scaling(training: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the mean of each colour of the training images, and the factor that gives it a deviation of one."""
    count, total, squares = 0, np.zeros(3), np.zeros(3)
    for row in training.rows.tolist():  # a sum of all at once would take eight times the memory of the pixels
        pixels = training.images[row].reshape(-1, 3).astype(np.float64)
        count, total, squares = count + len(pixels), total + pixels.sum(axis=0), squares + (pixels**2).sum(axis=0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 1.0))  # images of one colour don't vary
    return mean.astype(np.float32), (1 / deviation).astype(np.float32)


def _filled(array: NDArray[Any], batch_size: int) -> NDArray[Any]:
    """Fill the last batch up with rows of zeros, whose weight is 0."""
    full = np.zeros((batch_size, *array.shape[1:]), array.dtype)
    full[: len(array)] = array
    return full
