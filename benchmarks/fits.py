"""The ways from features to a chosen, fitted classifier that `stage_two.py` compares, each in a fresh process.

    python benchmarks/fits.py NAME TASK

TASK is JSON, the fields of `Task`; the last line of stdout is JSON as well. The clock runs from features and labels in
memory (featx: mapped) to the fitted classifier; imports aren't counted, for none.
"""

import dataclasses
import itertools
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What is chosen on what.

    Parameters
    ----------
    folder : str
        Holds ``X.npy`` and ``y.npy``.
    clf, kernel : str
        As in `featx.fit`.
    grid : dict of str to list of float
        Values tried; of ``gamma``, multiples of scikit-learn's ``"scale"``.
    folds : int
    cores : int
        Processes of the reference.
    out : str
        Place for out-of-fold labels, as .npy.
    at : dict of str to float
        For `predictions`: the hyperparameters.
    """

    folder: str
    clf: str
    kernel: str = "linear"
    grid: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    folds: int = 5
    cores: int = 1
    out: str = ""
    at: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def points(self) -> list[dict[str, float]]:
        """Points of the grid, the first hyperparameter changing slowest."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    def splitter(self) -> Any:
        """The folds that featx cuts by default."""
        from sklearn.model_selection import StratifiedKFold

        return StratifiedKFold(self.folds, shuffle=True, random_state=0)


Result = dict[str, Any]


def result(task: Task, seconds: float, table: list[list[float]], chosen: int, **more: Any) -> Result:
    """What every contender tells: the table has a row of accuracies, fold by fold, for every point of the grid."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    place = {"place": chosen, "chosen": task.points[chosen]}
    return {"seconds": seconds, "table": table, **place, "peak": peak, **more}


def load(task: Task, *, mapped: bool = False) -> tuple[Any, Any]:
    """Features and labels."""
    return np.load(Path(task.folder, "X.npy"), mmap_mode="r" if mapped else None), np.load(Path(task.folder, "y.npy"))


def featx_fit(task: Task) -> Result:
    """featx: choose, fit, calibrate, from mapped features. The grid is exactly the task's: nothing is widened."""
    from featx.classifiers.recipes import Axis
    from featx.classifiers.table import RECIPES
    from featx.model import Origin
    from featx.model.fitting import TrainingData, fit_model
    from featx.progress import Silent
    from featx.selection import SelectionOptions
    from featx.spec import ExtractionSpec

    recipe = RECIPES[task.clf]
    axes = recipe.grids[task.kernel]
    grid = {name: dataclasses.replace(axes[name], values=tuple(task.grid[name]), widened_by=None) for name in axes}
    assert all(isinstance(axis, Axis) for axis in grid.values())
    RECIPES[task.clf] = dataclasses.replace(recipe, grids={task.kernel: grid})

    X, y = load(task, mapped=True)
    spec = ExtractionSpec(backbone="made", weights="none", image_size=(1, 1), preprocessing="none")
    data = TrainingData(
        features=X,
        labels=y,
        classes=tuple(f"{label:03}" for label in range(int(y.max()) + 1)),
        digests=np.zeros((len(y), 32), np.uint8),
        origin=Origin(name="made", path="made.h5", content_digest="", spec=spec, weights_source="none"),
    )
    plans: list[Any] = []

    class Plans(Silent):
        def step(self, step: Any) -> None:
            plans.append(step)

    start = time.perf_counter()
    options = SelectionOptions(kernel=task.kernel, folds=task.folds)
    model = fit_model(data, name="made", clf=task.clf, options=options, progress=Plans())
    seconds = time.perf_counter() - start
    selection = model.selection
    np.save(task.out, selection.oof.labels)
    chosen = next(place for place, row in enumerate(selection.rows) if row.params == selection.params)
    return result(
        task,
        seconds,
        [list(row.scores) for row in selection.rows],
        chosen,
        features=X.nbytes / 1e6,
        solver=plans[0].solver,
        predicted_seconds=plans[0].seconds,
        predicted_bytes=plans[0].bytes,
    )


def _reference(task: Task) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    classifiers: dict[str, Callable[[], Any]] = {
        "svm": lambda: SVC(kernel=task.kernel),
        "logreg": lambda: LogisticRegression(max_iter=5_000),
    }
    return make_pipeline(StandardScaler(), classifiers[task.clf]())


def _names(pipeline: Any, X: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Hyperparameters by scikit-learn's names; gamma absolute, the variance of scaled features being one."""
    step = pipeline.steps[-1][0]
    unit = {"gamma": 1 / X.shape[1]}
    return {f"{step}__{name}": np.multiply(value, unit.get(name, 1.0)) for name, value in values.items()}


def grid_search(task: Task) -> Result:
    """scikit-learn, as users write it: `GridSearchCV` over scaler and classifier, with all cores."""
    from sklearn.model_selection import GridSearchCV

    X, y = load(task)
    pipeline = _reference(task)
    start = time.perf_counter()
    search = GridSearchCV(pipeline, _names(pipeline, X, task.grid), cv=task.splitter(), n_jobs=task.cores)
    search.fit(X, y)
    seconds = time.perf_counter() - start
    found = search.cv_results_
    table = [
        [float(found[f"split{fold}_test_score"][i]) for fold in range(task.folds)] for i in range(len(task.points))
    ]
    return result(task, seconds, table, int(search.best_index_))


def logistic_regression_cv(task: Task) -> Result:
    """scikit-learn, as users write it: features scaled once, then `LogisticRegressionCV` with all cores."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = load(task)
    start = time.perf_counter()
    search = LogisticRegressionCV(
        Cs=task.grid["C"],
        cv=task.splitter(),
        l1_ratios=(0.0,),
        scoring="accuracy",
        max_iter=1_000,
        n_jobs=task.cores,
        use_legacy_attributes=False,
    )
    make_pipeline(StandardScaler(), search).fit(X, y)
    seconds = time.perf_counter() - start
    scores = np.asarray(search.scores_).reshape(task.folds, len(task.points))
    chosen = int(np.argmin(np.abs(np.log(np.array(task.grid["C"]) / np.ravel(search.C_)[0]))))
    return result(task, seconds, scores.T.tolist(), chosen)


def predictions(task: Task) -> Result:
    """scikit-learn's out-of-fold predictions at given hyperparameters, to be compared; its time isn't."""
    from sklearn.model_selection import cross_val_predict

    X, y = load(task)
    pipeline = _reference(task)
    pipeline.set_params(**_names(pipeline, X, task.at))
    found = cross_val_predict(pipeline, X, y, cv=task.splitter(), n_jobs=task.cores)
    return {"equal": float(np.mean(found == np.load(task.out)))}


CONTENDERS: dict[str, Callable[[Task], Result]] = {
    "featx": featx_fit,
    "GridSearchCV": grid_search,
    "LogisticRegressionCV": logistic_regression_cv,
    "predictions": predictions,
}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(CONTENDERS[sys.argv[1]](Task(**json.loads(sys.argv[2])))))
