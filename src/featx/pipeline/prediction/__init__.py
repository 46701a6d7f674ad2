"""From a model and new images to labels and probabilities.

`featx.pipeline.prediction.sources`     the image files that are meant
`featx.pipeline.prediction.results`     labels and probabilities, for people and programs
`featx.pipeline.prediction.predicting`  the verbs
"""

from featx.pipeline.prediction.predicting import predict, predict_batches, runner_of
from featx.pipeline.prediction.results import Predictions

__all__ = ["Predictions", "predict", "predict_batches", "runner_of"]
