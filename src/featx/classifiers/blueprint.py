"""Blueprint of a classifier, whose hyperparameters are still to be chosen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featx.classifiers.recipes import Params, Recipe, Settings
from featx.classifiers.table import find_recipe, taking_views
from featx.errors import UsageError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CLASS_WEIGHTS = (None, "balanced")
NORMALIZATIONS = (None, "l2")


@dataclass(frozen=True, kw_only=True, eq=False)
class Blueprint:
    """A classifier and the steps before it, without hyperparameters.

    Parameters
    ----------
    clf : str or scikit-learn estimator
        Name of a classifier (`RECIPES`); or an estimator, of which clones are fitted: as it is if it is a pipeline,
        else after the scaler.
    kernel : str
        Of a support vector machine.
    class_weight : {None, "balanced"}
        Balanced weighs every image by the inverse of its class's frequency.
    normalize : {None, "l2"}
        Bring every feature vector to length one, before the scaler.
    pca : int or None
        Keep so many principal components, after the scaler.
    seed : int
        Of whatever draws at random.
    views : int
        Views of each image that are rows of the fit too, beside the image's own row.

    Raises
    ------
    UsageError
        Unknown names, or options that this classifier doesn't have.
    """

    clf: Any
    kernel: str = "linear"
    class_weight: str | None = None
    normalize: str | None = None
    pca: int | None = None
    seed: int = 0
    views: int = 0

    def __post_init__(self) -> None:
        for name, given, known in (
            ("class_weight", self.class_weight, CLASS_WEIGHTS),
            ("normalize", self.normalize, NORMALIZATIONS),
        ):
            if given not in known:
                raise UsageError(f"{name} must be one of {', '.join(map(str, known))}, found {given!r}")
        if self.pca is not None and self.pca < 1:
            raise UsageError(f"pca must be a number of components, 1 or more; found {self.pca}")
        if isinstance(self.clf, str):
            if not self.recipe.weighs_classes and self.class_weight is not None:
                raise UsageError(
                    f"classifier {self.clf!r} can't use `class_weight`: leave it out, or choose another classifier"
                )
        elif not (hasattr(self.clf, "fit") and hasattr(self.clf, "get_params") and not isinstance(self.clf, type)):
            raise UsageError(f"clf must be the name of a classifier or a scikit-learn estimator, found {self.clf!r}")
        elif self.kernel != "linear" or self.class_weight is not None:
            raise UsageError(
                "kernel and class_weight can't be combined with an estimator: set them in the estimator itself"
            )
        elif self.own_steps and (self.normalize, self.pca) != (None, None):
            raise UsageError(
                "normalize and pca can't be combined with a pipeline: make them steps of the pipeline itself"
            )
        if self.views and not self.recipe.takes_views:
            why = (
                "its nearest neighbours would be views of one image"
                if isinstance(self.clf, str)
                else "an image would count as several in its own settings"
            )
            raise UsageError(
                f"classifier {self.name!r} can't be fitted with `views`, since {why}: leave them out, or take one of "
                f"{', '.join(taking_views())}"
            )

    @property
    def name(self) -> str:
        """Name of the classifier, or of the estimator's type."""
        return self.clf if isinstance(self.clf, str) else type(self.clf).__name__

    @property
    def recipe(self) -> Recipe:
        """Recipe of the classifier; an estimator has one without a grid."""
        if isinstance(self.clf, str):
            return find_recipe(self.clf, kernel=self.kernel)
        return Recipe(grids={self.kernel: {}})

    @property
    def solvers(self) -> Mapping[str, str]:
        """Solvers that can fit the classifier, by kind, the preferred one first."""
        return self.recipe.solvers.get(self.kernel, {})

    @property
    def streams(self) -> bool:
        """True if the classifier can be fitted in blocks of rows."""
        return "blockwise" in self.solvers and (self.normalize, self.pca) == (None, None)

    @property
    def own_steps(self) -> bool:
        """True if the estimator is a pipeline, which is fitted as it is."""
        return hasattr(self.clf, "steps")

    @property
    def settings(self) -> dict[str, Any]:
        """Options that aren't hyperparameters, for the record of a model."""
        kernels = {"kernel": self.kernel} if len(self.recipe.grids) > 1 else {}
        return kernels | {name: getattr(self, name) for name in ("class_weight", "normalize", "pca", "seed")}

    def for_rows(self, params: Params) -> Params:
        """Turn hyperparameters for images into those of the classifier, whose rows share the weight of an image.

        All images have equally many rows, each with the weight 1 / (1 + views). A weight that is the same for all rows
        is a factor of the sum of the losses, and so of C.
        """
        if not self.views:
            return params
        axes, rows = self.recipe.grids[self.kernel], 1 + self.views
        power = {name: axis.per_image for name, axis in axes.items() if axis.per_image}
        return {name: value * float(rows) ** power[name] if name in power else value for name, value in params.items()}

    def steps(self) -> list[tuple[str, Any]]:
        """Make the unfitted steps before the classifier; a pipeline has its own, and none are added."""
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import Normalizer, StandardScaler

        steps: list[tuple[str, Any]] = []
        if self.own_steps:
            return steps
        if self.normalize is not None:
            steps.append(("normalizer", Normalizer(norm=self.normalize)))
        steps.append(("scaler", StandardScaler()))
        if self.pca is not None:
            steps.append(("pca", PCA(n_components=self.pca, random_state=self.seed)))
        return steps

    def classifier(self, params: Mapping[str, Any]) -> Any:
        """Make the unfitted classifier that follows the steps, with some or all of its hyperparameters."""
        if not isinstance(self.clf, str):
            return _clone(self.clf, self.seed)
        settings = Settings(kernel=self.kernel, class_weight=self.class_weight, seed=self.seed)
        return self.recipe.build(params, settings)

    def join(self, steps: list[tuple[str, Any]], classifier: Any) -> "Pipeline":
        """Join steps and a classifier, fitted or not, to a pipeline."""
        from sklearn.pipeline import Pipeline

        return classifier if self.own_steps else Pipeline([*steps, ("classifier", classifier)])

    def pipeline(self, params: Mapping[str, Any]) -> "Pipeline":
        """Make the unfitted pipeline with some or all of its hyperparameters."""
        return self.join(self.steps(), self.classifier(params))


def _clone(estimator: Any, seed: int) -> Any:
    """Clone an estimator, and seed what draws at random in it."""
    from sklearn.base import clone

    cloned = clone(estimator)
    unset = {
        name: seed
        for name, value in cloned.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return cloned.set_params(**unset)


def check_penalty(C: float) -> None:
    """Raise `UsageError` unless C is a finite number above zero."""
    if not (math.isfinite(C) and C > 0):
        raise UsageError(f"`C` must be a finite number above zero, found {C!r}")


def make_classifier(
    name: Any,
    *,
    kernel: str = "linear",
    class_weight: str | None = None,
    normalize: str | None = None,
    pca: int | None = None,
    seed: int = 0,
    **params: Any,
) -> "Pipeline":
    """Make an unfitted classifier: an ordinary scikit-learn pipeline of ``scaler`` and ``classifier``.

    Parameters
    ----------
    name : str or scikit-learn estimator
        Name of a classifier, such as ``"logreg"`` or ``"svm"`` (one against one, fitted by libsvm [1]_): the table
        `featx.classifiers.RECIPES` and ``featx fit --help`` have all of them. Or any estimator of scikit-learn.
    kernel : {"linear", "rbf"}
        Kernel of an SVM; the other classifiers have none.
    class_weight : {None, "balanced"}
        Balanced weighs images by the inverse of their class's frequency, in the classifiers that can.
    normalize : {None, "l2"}
        Bring every feature vector to length one, in a step ``normalizer`` before the scaler.
    pca : int, optional
        Keep so many principal components, in a step ``pca`` after the scaler.
    seed : int
        For what draws at random; of these only a PCA of many columns does.
    **params
        The classifier's hyperparameters by scikit-learn's names, such as ``C`` or ``n_neighbors``: those of its row in
        the table, whose defaults the others have.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Takes features ``(n, d)`` float32 or float64 and any labels.

    Raises
    ------
    UsageError
        Unknown name, kernel or option, or a C that isn't above zero.

    References
    ----------
    .. [1] Chang and Lin, "LIBSVM: a library for support vector machines", ACM TIST 2(3), 2011.

    Examples
    --------
    >>> make_classifier("svm", C=0.01).steps
    [('scaler', StandardScaler()), ('classifier', PairwiseSVC(C=0.01))]
    """
    blueprint = Blueprint(clf=name, kernel=kernel, class_weight=class_weight, normalize=normalize, pca=pca, seed=seed)
    unknown = sorted(set(params) - set(blueprint.recipe.defaults))
    if unknown:
        has = ", ".join(blueprint.recipe.defaults) or "none"
        raise UsageError(f"classifier {blueprint.name!r} has no {', '.join(unknown)}: its hyperparameters are {has}")
    if "C" in params:
        check_penalty(params["C"])
    return blueprint.pipeline(params)
