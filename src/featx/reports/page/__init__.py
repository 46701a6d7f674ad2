"""The page: a report as one HTML file to be looked at."""

from featx.reports.page.projection import positions
from featx.reports.page.rendering import render
from featx.reports.page.wanting import wanted, wanted_training

__all__ = ["positions", "render", "wanted", "wanted_training"]
