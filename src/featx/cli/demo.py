"""``featx demo``."""

from pathlib import Path
from typing import Any


def demo() -> None:
    """Write sample images (handwritten digits) to data/train and data/test here, then extract, fit and score.

    The backbone is a small one with ImageNet weights. If these can't be downloaded, it is scattering, which needs no
    weights, and a message says so.
    """
    from featx.cli import show
    from featx.demo import run
    from featx.pipeline.filling.job import Extraction
    from featx.pipeline.naming import report_path

    class DemoProgress(show.TerminalProgress):
        """Shows each model as well."""

        def end(self, task: Path, result: Any) -> None:
            super().end(task, result)
            if not isinstance(result, Extraction):
                show.model(task, result)

    with DemoProgress() as progress:
        reports = run(progress=progress)
    show.reports(reports)
    show.pages([report_path(report.model).with_suffix(".html") for report in reports], open_them=False)
