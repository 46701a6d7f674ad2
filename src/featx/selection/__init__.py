"""Choosing hyperparameters by cross-validation: folds, the sweep over a grid, the choice, out-of-fold predictions."""

from featx.selection.choosing import select
from featx.selection.options import DEFAULT_OPTIONS, SelectionOptions
from featx.selection.results import OutOfFold, Selection, SweepRow

__all__ = ["DEFAULT_OPTIONS", "OutOfFold", "Selection", "SelectionOptions", "SweepRow", "select"]
