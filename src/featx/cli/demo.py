"""``featx demo``."""


def demo() -> None:
    """Write sample images (handwritten digits) to data/train and data/test here, then extract, fit and score.

    Uses a small backbone with ImageNet weights; where these can't be had, scattering, which needs none, and says so.
    """
    from featx.cli import show
    from featx.demo import run
    from featx.pipeline.naming import report_path

    with show.extraction_progress() as watcher:
        reports = run(announce=show.step, fitted=show.model, progress=watcher)
    show.reports(reports)
    show.pages([report_path(report.model).with_suffix(".html") for report in reports], open_them=False)
