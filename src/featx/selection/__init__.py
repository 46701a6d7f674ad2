"""Choice of hyperparameters by cross-validation."""

from featx.selection.choosing import select
from featx.selection.options import DEFAULT_OPTIONS, SelectionOptions
from featx.selection.results import OutOfFold, Selection, SweepRow

__all__ = ["DEFAULT_OPTIONS", "OutOfFold", "Selection", "SelectionOptions", "SweepRow", "select"]
