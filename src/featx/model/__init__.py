"""The fitted model, its predictions on features, its check against a spec, and its file."""

from featx.model.fitted import Model
from featx.model.fitting import TrainingData, fit_model
from featx.model.origin import Origin
from featx.model.ranking import RankedModel, Ranking

__all__ = ["Model", "Origin", "RankedModel", "Ranking", "TrainingData", "fit_model"]
