"""The fitted model, its predictions on features, its check against a spec, and its file."""

from featx.model.fitted import Model
from featx.model.fitting import TrainingData, fit_model
from featx.model.origin import Origin

__all__ = ["Model", "Origin", "TrainingData", "fit_model"]
