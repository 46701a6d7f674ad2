"""The fitted model, its predictions on features, its check against a spec, and its file."""

from featx.model.fitted import Model, Origin
from featx.model.fitting import TrainingData, fit_model

__all__ = ["Model", "Origin", "TrainingData", "fit_model"]
