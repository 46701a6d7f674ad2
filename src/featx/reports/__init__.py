"""Reports: what scoring found, as JSON, as a page and as pictures."""

from featx.reports.images import Images
from featx.reports.plot import plot_confusion
from featx.reports.report import Report, rows

__all__ = ["Images", "Report", "plot_confusion", "rows"]
