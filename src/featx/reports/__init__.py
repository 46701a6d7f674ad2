"""Reports: figures with their intervals, the report and its JSON, the picture of its confusion matrix."""

from featx.reports.intervals import Interval, wilson
from featx.reports.metrics import ClassMetrics, Metrics, evaluate
from featx.reports.plot import plot_confusion
from featx.reports.report import Report, rows

__all__ = ["ClassMetrics", "Interval", "Metrics", "Report", "evaluate", "plot_confusion", "rows", "wilson"]
