"""One step of training on each of Keras's backends.

Keras's own ``fit`` is not used: whatever a graph says, it calls batch normalisation in training mode (keras issue
20285) and so drifts away from the statistics that the weights were trained with, and on small tails most of its time is
spent around the step. Here the model is always called with ``training=False``.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.session import backend_name, import_keras
from featx.errors import UsageError

Step = Callable[[Sequence[NDArray[np.float32]], NDArray[np.int32], NDArray[np.float32], float], tuple[Any, Any]]
"""Takes inputs, labels (b,), weights (b,) and the rate; gives the summed loss and the number that was right."""

Scores = Callable[[Sequence[NDArray[np.float32]]], NDArray[np.float32]]
"""Gives the scores (b, k) of inputs."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A compiled step, and the same network without training, both of one batch size.

    Parameters
    ----------
    step, scores : callable
        As `Step` and `Scores`.
    optimizer : keras.optimizers.Optimizer
        Its variables are part of what has to be kept.
    """

    step: Step
    scores: Scores
    optimizer: Any

    def state(self) -> list[NDArray[Any]]:
        """Copy the optimizer's variables."""
        return [np.array(one.numpy()) for one in self.optimizer.variables]

    def restore(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Set the optimizer's variables."""
        for variable, array in zip(self.optimizer.variables, arrays, strict=True):
            variable.assign(array)


def compiled(model: Any, *, batch_size: int) -> Program:
    """Compile the step of a model: cross-entropy, Adam.

    Parameters
    ----------
    model : keras.Model
        Gives scores (b, k), not probabilities.
    batch_size : int
        Rows per call, always; rows that are not meant have the weight 0.

    Raises
    ------
    UsageError
        Training doesn't run on this backend of Keras.
    """
    name = _backend()
    optimizer = import_keras().optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    step, forward_of = _BACKENDS[name]
    return Program(step=step(model, optimizer, batch_size), scores=forward_of(model, batch_size), optimizer=optimizer)


def forward(model: Any, *, batch_size: int) -> Scores:
    """Compile a network without training: inputs, always of one batch size, to what it gives (b, d)."""
    name = _backend()
    found: Scores = _BACKENDS[name][1](model, batch_size)
    return found


def _backend() -> str:
    name = backend_name()
    if name not in _BACKENDS:
        raise UsageError(
            f"training runs on Keras's backends {' and '.join(_BACKENDS)}, found {name}: set KERAS_BACKEND to one of "
            "these"
        )
    return name


def _tensorflow_step(model: Any, optimizer: Any, batch_size: int) -> Step:
    tf = importlib.import_module("tensorflow")
    variables = model.trainable_variables
    row = (batch_size,)
    signature = [tf.TensorSpec(row, tf.int32), tf.TensorSpec(row, tf.float32), tf.TensorSpec((), tf.float32)]

    def step(images: Any, labels: Any, weights: Any, rate: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            scores = model(images, training=False)
            losses = weights * tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=scores)
            loss = tf.reduce_sum(losses) / tf.reduce_sum(weights)
        optimizer.learning_rate = rate
        optimizer.apply(tape.gradient(loss, variables), variables)
        right = tf.equal(tf.argmax(scores, axis=1, output_type=tf.int32), labels) & (weights > 0)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.int32))

    traced: Step = tf.function(step, input_signature=[_inputs(model, batch_size), *signature], autograph=False)
    return traced


def _tensorflow_forward(model: Any, batch_size: int) -> Scores:
    tf = importlib.import_module("tensorflow")

    program = tf.function(
        lambda images: model(images, training=False),
        input_signature=[_inputs(model, batch_size)],
        autograph=False,
    )
    return lambda images: np.asarray(program(list(images)).numpy(), np.float32)


def _inputs(model: Any, batch_size: int) -> list[Any]:
    tf = importlib.import_module("tensorflow")
    return [tf.TensorSpec((batch_size, *one.shape[1:]), tf.float32) for one in model.inputs]


def _torch_step(model: Any, optimizer: Any, batch_size: int) -> Step:  # noqa: ARG001  (nothing is traced)
    torch, keras = importlib.import_module("torch"), import_keras()
    variables = model.trainable_variables

    def step(
        images: Sequence[NDArray[np.float32]], labels: NDArray[np.int32], weights: NDArray[np.float32], rate: float
    ) -> tuple[Any, Any]:
        truth, weighing = keras.ops.convert_to_tensor(labels.astype(np.int64)), keras.ops.convert_to_tensor(weights)
        scores = model([keras.ops.convert_to_tensor(one) for one in images], training=False)
        losses = weighing * torch.nn.functional.cross_entropy(scores, truth, reduction="none")
        model.zero_grad()
        (losses.sum() / weighing.sum()).backward()
        optimizer.learning_rate = rate
        with torch.no_grad():
            optimizer.apply([one.value.grad for one in variables], variables)
        right = (scores.argmax(dim=1) == truth) & (weighing > 0)
        return losses.sum().detach(), right.sum()

    return step


def _torch_forward(model: Any, batch_size: int) -> Scores:  # noqa: ARG001
    torch, keras = importlib.import_module("torch"), import_keras()

    def program(images: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        with torch.no_grad():
            found = model([keras.ops.convert_to_tensor(one) for one in images], training=False)
        return np.asarray(keras.ops.convert_to_numpy(found), np.float32)

    return program


_BACKENDS: dict[str, tuple[Callable[[Any, Any, int], Step], Callable[[Any, int], Scores]]] = {
    "tensorflow": (_tensorflow_step, _tensorflow_forward),
    "torch": (_torch_step, _torch_forward),
}
