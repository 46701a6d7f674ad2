"""Figures and their intervals: metrics, calibration, paired comparisons, likely label errors."""

from featx.statistics.comparison import Comparison, Comparisons
from featx.statistics.intervals import Interval, wilson
from featx.statistics.label_errors import LabelError, label_errors
from featx.statistics.metrics import ClassMetrics, Metrics, evaluate, measured
from featx.statistics.reliability import Reliability, reliability
from featx.statistics.scored_images import ScoredImages, scored_images

__all__ = [
    "ClassMetrics",
    "Comparison",
    "Comparisons",
    "Interval",
    "LabelError",
    "Metrics",
    "Reliability",
    "ScoredImages",
    "evaluate",
    "label_errors",
    "measured",
    "reliability",
    "scored_images",
    "wilson",
]
