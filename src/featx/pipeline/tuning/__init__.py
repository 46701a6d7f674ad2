"""Fine-tuning of a network's last blocks, or of a head, on what stage one has cached."""

from featx.pipeline.tuning.results import Tuned
from featx.pipeline.tuning.verb import tune

__all__ = ["Tuned", "tune"]
