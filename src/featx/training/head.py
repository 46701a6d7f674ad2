"""A fitted logistic regression as the last layer of a network, and such a layer as a scikit-learn pipeline."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """Dense layers from features to the scores of classes; all but the last are followed by a ReLU.

    Parameters
    ----------
    layers : tuple of ((a, b) float32, (b,) float32)
        Weights and bias of each; the last has a column for each class.
    dropout : float
        Share of the numbers that go into the last layer which is left out in training.
    """

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    dropout: float = 0.0

    @property
    def hidden(self) -> int | None:
        """Width of the layer before the last; None where there is one layer alone."""
        return None if len(self.layers) == 1 else int(self.layers[0][1].shape[0])


def fold(pipeline: Any, *, temperature: float | None = None) -> Head:
    """Fold a scaler, principal components and a logistic regression into one dense layer with the same probabilities.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        ``scaler``, perhaps ``pca``, and ``classifier``, fitted.
    temperature : float or None
        Of a calibration, by which scores (`featx.classifiers.class_scores`) are divided: it is folded in too.

    Returns
    -------
    Head
        The softmax of its scores is what the calibrated pipeline gives.

    Raises
    ------
    UsageError
        The pipeline has another step, or another classifier.
    """
    *steps, (_, regression) = pipeline.steps
    if type(regression).__name__ != "LogisticRegression":
        raise UsageError(
            f"training starts from a logistic regression, found {type(regression).__name__}: fit one with "
            '`clf="logreg"` first'
        )
    coef = np.asarray(regression.coef_, np.float64)
    intercept = np.asarray(regression.intercept_, np.float64)
    if len(coef) == 1:
        # Of two classes there is one score s, whose sigmoid is the softmax of -s / 2 and s / 2. What a calibration
        # divides is -s and s.
        half = 0.5 if temperature is None else 1.0
        coef, intercept = half * np.concatenate([-coef, coef]), half * np.concatenate([-intercept, intercept])
    for _, step in reversed(steps):
        kind = type(step).__name__
        if kind == "StandardScaler":
            coef = coef / step.scale_
            intercept = intercept - coef @ step.mean_
        elif kind == "PCA" and not step.whiten:
            coef = coef @ step.components_
            intercept = intercept - coef @ step.mean_
        else:
            raise UsageError(
                f"training can't start from a logistic regression behind a {kind}: fit one without `normalize`"
            )
    by = 1.0 if temperature is None else temperature
    return Head(layers=(((coef.T / by).astype(np.float32), (intercept / by).astype(np.float32)),))


def unfold(head: Head, *, scaler: Any = None) -> "Pipeline":
    """Make a head a fitted scikit-learn pipeline that gives the same scores.

    Parameters
    ----------
    head : Head
        One layer becomes a logistic regression, two become a multi-layer perceptron.
    scaler : sklearn.preprocessing.StandardScaler, optional
        Fitted scaler of the features that the head takes; without one, features are taken as they are.

    Returns
    -------
    sklearn.pipeline.Pipeline
        ``scaler`` and ``classifier``; classes are numbers from 0 on.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import LabelBinarizer, StandardScaler

    width, k = len(head.layers[0][0]), len(head.layers[-1][1])
    if scaler is None:
        # Mean 0 and scale 1: a model file has the same steps whatever it was made by.
        scaler = StandardScaler().fit(np.zeros((1, width)))
    weights, biases = zip(*((w.astype(np.float64), b.astype(np.float64)) for w, b in head.layers), strict=True)
    if k == 2:
        # scikit-learn's classifiers have one score for two classes: the difference of the head's.
        weights = (*weights[:-1], weights[-1][:, 1:] - weights[-1][:, :1])
        biases = (*biases[:-1], biases[-1][1:] - biases[-1][:1])
    if head.hidden is None:
        classifier: Any = LogisticRegression()
        classifier.coef_, classifier.intercept_ = weights[0].T.copy(), biases[0]
    else:
        classifier = MLPClassifier(hidden_layer_sizes=(head.hidden,))
        classifier.coefs_, classifier.intercepts_ = list(weights), list(biases)
        classifier.n_layers_, classifier.n_outputs_ = len(weights) + 1, len(biases[-1])
        classifier.out_activation_ = "logistic" if k == 2 else "softmax"
        classifier._label_binarizer = LabelBinarizer().fit(np.arange(k))
    classifier.classes_, classifier.n_features_in_ = np.arange(k), width
    return Pipeline([("scaler", scaler), ("classifier", classifier)])


def drawn(width: int, hidden: int, k: int, *, dropout: float, seed: int) -> Head:
    """Draw an untrained head of one hidden layer: He-uniform for the ReLU, Glorot-uniform for the scores."""
    generator = np.random.default_rng(seed)
    first, second = np.sqrt(6.0 / width), np.sqrt(6.0 / (hidden + k))
    return Head(
        layers=(
            (generator.uniform(-first, first, (width, hidden)).astype(np.float32), np.zeros(hidden, np.float32)),
            (generator.uniform(-second, second, (hidden, k)).astype(np.float32), np.zeros(k, np.float32)),
        ),
        dropout=dropout,
    )
