"""Reports: figures with their intervals, comparisons, the report and its JSON, its page and its pictures."""

from featx.reports.comparison import Comparison, Comparisons
from featx.reports.images import Images
from featx.reports.intervals import Interval, wilson
from featx.reports.label_errors import LabelError, label_errors
from featx.reports.metrics import ClassMetrics, Metrics, evaluate
from featx.reports.plot import plot_confusion
from featx.reports.reliability import Reliability, reliability
from featx.reports.report import Report, rows, write_whole

__all__ = [
    "ClassMetrics",
    "Comparison",
    "Comparisons",
    "Images",
    "Interval",
    "LabelError",
    "Metrics",
    "Reliability",
    "Report",
    "evaluate",
    "label_errors",
    "plot_confusion",
    "reliability",
    "rows",
    "wilson",
    "write_whole",
]
