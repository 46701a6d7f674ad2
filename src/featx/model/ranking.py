"""The ranking of several classifiers that were fitted on one feature store."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx import notebook
from featx.leakage.tuned import NO_TEST

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class RankedModel:
    """One classifier of a ranking.

    Parameters
    ----------
    name : str
        Name of the model.
    clf : str
        Name of the classifier.
    params : mapping of str to Any
        Its settings, as in `featx.Model`.
    accuracy, std : float or None
        `Model.accuracy`, and the standard deviation of the accuracies of the parts of the cross-validation; None
        without cross-validation.
    file : Path or None
        File of the model, absolute; None where it wasn't saved.
    tuned : bool
        The network was tuned on images of the cross-validation: `accuracy` is no test.
    """

    name: str
    clf: str
    params: Mapping[str, Any]
    accuracy: float | None
    std: float | None
    file: Path | None
    tuned: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Ranking:
    """Classifiers that were fitted on one feature store, the best by cross-validated accuracy first.

    Parameters
    ----------
    store : str
        Path of the store.
    models : tuple of RankedModel
        The classifiers.
    """

    store: str
    models: tuple[RankedModel, ...]

    def __len__(self) -> int:
        return len(self.models)

    def __repr__(self) -> str:
        ranked = ", ".join(f"{one.clf} {_share(one)}" for one in self.models)
        return f"<Ranking of {len(self)} classifiers on {Path(self.store).stem}: {ranked}>"

    def _repr_html_(self) -> str:
        rows = [
            (one.clf, _share(one), "" if one.std is None else f"± {100 * one.std:.1f} points", one.name)
            for one in self.models
        ]
        header = ("classifier", "accuracy", "varies between test parts by", "model")
        return notebook.html_table(
            f"{self.store}, the best classifier (by cross-validation) first", rows, header=header
        )

    def to_pandas(self) -> "pd.DataFrame":
        """Table for pandas, a row for each classifier, best first.

        Returns
        -------
        pandas.DataFrame
            ``clf`` and ``model`` (text), ``accuracy`` and ``std`` (float64, in [0, 1]; NaN without cross-validation),
            and ``file`` (text; missing where the model wasn't saved).

        Raises
        ------
        UsageError
            pandas isn't installed.
        """
        models, pd = self.models, notebook.pandas()
        return pd.DataFrame(
            {
                "clf": notebook.text_column(one.clf for one in models),
                "model": notebook.text_column(one.name for one in models),
                "accuracy": pd.Series([one.accuracy for one in models], dtype=float),
                "std": pd.Series([one.std for one in models], dtype=float),
                "file": notebook.text_column(None if one.file is None else str(one.file) for one in models),
            }
        )


def _share(one: RankedModel) -> str:
    if one.accuracy is None:
        return "not cross-validated"
    return f"{one.accuracy:.1%}" + (f" ({NO_TEST})" if one.tuned else "")
